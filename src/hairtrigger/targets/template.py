"""The first message of an agent conversation, made from an event. Users write the templates, so these hold no code."""

import json
import re

from pydantic_core import to_json

from hairtrigger.domain.target import Outgoing
from hairtrigger.targets.answers import json_of

LONGEST = 4 * 1024 * 1024  # characters in a message that a template makes of an event
_MOST_LINES = 10_000  # an event with more lines than this is not indented

_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")

_INDEX = re.compile("[0-9]{1,9}")  # int() is slow on very many digits, and refuses more


class TooLong(Exception):
    """The template makes a message of more than 4 MB."""


def rendered(template: str, outgoing: Outgoing) -> str:
    """Fill in `{{event}}`, `{{type}}`, `{{time}}`, `{{data.path.to.0.field}}`; a missing value leaves nothing.

    Raises `TooLong` before more than `LONGEST` characters are made, because a template may name the event many times.
    """
    text = outgoing.body.decode(errors="replace")
    try:
        data = json_of(outgoing)
        event = to_json(data, indent=2).decode() if _lines(outgoing.body) <= _MOST_LINES else text
    except ValueError:
        data, event = None, text
    plain = {"event": event, "type": outgoing.type, "time": outgoing.time.isoformat()}
    room = LONGEST - len(template)

    def value(placeholder: re.Match[str]) -> str:
        nonlocal room
        name, *path = placeholder[1].strip().split(".")
        filled = _shown(data, path) if name == "data" else plain.get(placeholder[1].strip(), "")
        room -= len(filled)
        if room < 0:
            raise TooLong
        return filled

    return _PLACEHOLDER.sub(value, template)


def _lines(body: bytes) -> int:
    """Return how many lines the JSON has at most if each part has its own line.

    The lines are indented, so a megabyte of nested lists would become 200 megabytes.
    """
    return body.count(b",") + 2 * (body.count(b"[") + body.count(b"{"))


def _shown(data: object, path: list[str]) -> str:
    for step in path:
        match data:
            case dict():
                data = data.get(step)
            case list() if _INDEX.fullmatch(step) and int(step) < len(data):
                data = data[int(step)]
            case _:
                return ""
    if data is None:
        return ""
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
