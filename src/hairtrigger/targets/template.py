"""The first message of an agent conversation, made from an event. Templates are users' text, so they hold no code."""

import json
import re

from hairtrigger.domain.target import Outgoing
from hairtrigger.targets.answers import json_of

_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")


def rendered(template: str, outgoing: Outgoing) -> str:
    """`{{event}}`, `{{type}}`, `{{time}}`, `{{data.path.to.0.field}}`; what isn't there leaves nothing."""
    try:
        data = json_of(outgoing)
        event = json.dumps(data, indent=2, ensure_ascii=False)
    except ValueError:
        data, event = None, outgoing.body.decode(errors="replace")
    plain = {"event": event, "type": outgoing.type, "time": outgoing.time.isoformat()}

    def value(placeholder: re.Match[str]) -> str:
        name, *path = placeholder[1].strip().split(".")
        return _shown(data, path) if name == "data" else plain.get(placeholder[1].strip(), "")

    return _PLACEHOLDER.sub(value, template)


def _shown(data: object, path: list[str]) -> str:
    for step in path:
        match data:
            case dict():
                data = data.get(step)
            case list() if step.isdecimal() and int(step) < len(data):
                data = data[int(step)]
            case _:
                return ""
    if data is None:
        return ""
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
