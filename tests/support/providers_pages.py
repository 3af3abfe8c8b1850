"""The pages on providers, one each, and the list of them. All they say comes from the provider files and the tests."""

import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

from hairtrigger.domain.instants import spelled
from hairtrigger.kit.trigger import AppWebhook, Internal, Listening, Polling, Provider, Scheduled, Trigger, Webhook
from hairtrigger.providers import CATALOGUE
from tests.providers.shown import SHOWN

FOLDER = "docs/providers"
_GENERATED = "<!-- Written by ./dev poe docs from the provider file. -->"


def pages() -> Mapping[str, Callable[[], str]]:
    """Return the functions that make the pages, by the names of their files."""
    made: dict[str, Callable[[], str]] = {f"{FOLDER}/README.md": providers_document}
    for provider in CATALOGUE:
        made[f"{FOLDER}/{provider.id}.md"] = partial(provider_document, provider)
    return made


def providers_document() -> str:
    rows = "\n".join(_row(one) for one in sorted(CATALOGUE, key=lambda one: one.name.lower()))
    triggers = sum(len(one.triggers) for one in CATALOGUE)
    shown = sum(_level(one) == "shown" for one in CATALOGUE)
    return f"""# Providers

{_GENERATED}

There are {len(CATALOGUE)} providers with {triggers} triggers. The provider [Webhook](webhook.md) takes requests of
every other app that can send one; [webhooks.md](../webhooks.md) lists the senders that it knows by name.

{shown} providers are **shown**: a library, a signer or a server of other people takes part in their tests.
**Schema-checked** means that their requests and answers are checked against a schema of the provider. **Own fake only**
means that the other side is a program of this project, written from the provider's documentation.

| provider | triggers | push | poll | listen | sweep | latency promised | how it is shown |
|---|---|---|---|---|---|---|---|
{rows}

- **push**: the provider sends a request. **poll**: the service asks. **listen**: the service keeps a connection open.
- **sweep**: the service also asks for what a push may have missed.
- **latency promised**: from the time at which the provider tells of an event until its delivery begins. A poll adds the
  time until the next poll, which a trigger's configuration can change.
"""


def provider_document(provider: Provider) -> str:
    parts = [
        f"# {provider.name}",
        _GENERATED,
        inspect.cleandoc(_module(provider).__doc__ or ""),
        _connection(provider),
        _delivery(provider),
        "## Triggers",
        *(_trigger(one) for one in provider.triggers),
        _proof(provider),
        _sources(provider),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(provider: Provider) -> str:
    kinds = {_kind(one) for one in provider.triggers}
    marks = ["yes" if kinds & {kind} else "" for kind in ("push", "poll", "listen")]
    sweeps = [one for one in provider.triggers if getattr(one, "sweep", None)]
    sweep = "" if not sweeps else "yes" if len(sweeps) == len(provider.triggers) else f"{len(sweeps)} of its triggers"
    latency = ", ".join(sorted({_latency(one) for one in provider.triggers}))
    level = _level(provider)
    by = "; ".join(one.by for one in SHOWN.get(provider.id, ()))
    how = f"**{level}**" + (f": {by}" if by else "")
    name = f"[{provider.name}]({provider.id}.md)"
    return f"| {' | '.join([name, str(len(provider.triggers)), *marks, sweep, latency, how])} |"


def _level(provider: Provider) -> str:
    levels = {one.level for one in SHOWN.get(provider.id, ())}
    outside = any(_kind(one) in {"push", "poll", "listen"} for one in provider.triggers)
    if not outside:
        return "needs no other side"
    return "shown" if "shown" in levels else "schema-checked" if levels else "own fake only"


def _kind(trigger: Trigger) -> str:
    match trigger:
        case Webhook() | AppWebhook():
            return "push"
        case Polling():
            return "poll"
        case Scheduled():
            return "clock"
        case Internal():
            return "service"
        case Listening():
            return "listen"


def _latency(trigger: Trigger) -> str:
    return f"within {spelled(trigger.every)}" if isinstance(trigger, Polling) else "at once"


def _connection(provider: Provider) -> str:
    if not provider.fields:
        return "It needs no connection." if not provider.guide else provider.guide
    fields = "\n".join(f"- `{name}`: {provider.labels.get(name) or name.replace('_', ' ')}" for name in provider.fields)
    return f"## Connection\n\n{provider.guide}\n\n{fields}".replace("\n\n\n", "\n")


def _delivery(provider: Provider) -> str:
    rules = provider.delivery
    if rules is None:
        return ""
    lines = []
    if rules.answer_within:
        lines.append(f"It waits for an answer for {spelled(rules.answer_within)}.")
    lines += [one for one in (rules.retries, rules.gives_up, rules.on_410) if one]
    listed = "\n".join(f"- {line}" for line in lines)
    source = f"\n\nSource: {rules.source}" if rules.source else ""
    return f"## How it sends requests\n\n{listed}{source}"


def _trigger(trigger: Trigger) -> str:
    parts = [
        f"### {trigger.name} (`{trigger.id}`)",
        trigger.description,
        trigger.instructions or "",
        _how(trigger),
        f"**An event's key:** {trigger.key_sentence}" if trigger.key_sentence else "",
        _form(trigger),
        _example(trigger),
    ]
    return "\n\n".join(part for part in parts if part)


def _how(trigger: Trigger) -> str:
    match trigger:
        case AppWebhook():
            return "Its events come through the app of this service."
        case Webhook() if trigger.subscription:
            return "The service makes a webhook at the provider when the trigger is enabled, and removes it afterwards."
        case Webhook():
            return "Its user enters the trigger's address at the provider."
        case Polling():
            seen = " What is there when it is enabled counts as seen." if trigger.baseline else ""
            return f"The service asks every {spelled(trigger.every)}, unless the trigger says otherwise.{seen}"
        case Listening():
            return f"The service keeps a connection open, and events come over it. {trigger.lossy}".strip()
        case _:
            return ""


def _form(trigger: Trigger) -> str:
    schema = trigger.config.model_json_schema()
    required = schema.get("required", [])
    rows = (
        [_field(name, found, required) for name, found in schema["properties"].items()]
        if schema.get("properties")
        else []
    )
    return "| field | type | | |\n|---|---|---|---|\n" + "\n".join(rows) if rows else ""


def _field(name: str, schema: Mapping[str, Any], required: list[str]) -> str:
    kind = _type(schema)
    need = "required" if name in required else ""
    words = (schema.get("description") or schema.get("title") or "").replace("|", "\\|")
    return f"| `{name}` | {kind} | {need} | {words} |"


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    found = schema.get("type", "object")
    return " or ".join(found) if isinstance(found, list) else str(found)


def _example(trigger: Trigger) -> str:
    if trigger.example is None:
        return ""
    return f"An example of an event:\n\n```json\n{json.dumps(trigger.example, indent=2, ensure_ascii=False)}\n```"


def _proof(provider: Provider) -> str:
    level, rows = _level(provider), SHOWN.get(provider.id, ())
    by = "\n".join(f"- {one.by} ({one.level}): `{one.test}`" for one in rows)
    return f"## How it is shown\n\nIt is {level}." + (f"\n\n{by}" if by else "")


def _module(provider: Provider) -> ModuleType:
    """Return the provider file. What it says in its first lines stands on the page."""
    return next(
        one
        for name, one in list(sys.modules.items())
        if name.startswith("hairtrigger.providers.") and getattr(one, "provider", None) is provider
    )


def _sources(provider: Provider) -> str:
    """Return the pages that the provider file cites, in their order."""
    source = inspect.getsource(_module(provider))
    found = dict.fromkeys(one.rstrip(".,;:)") for one in re.findall(r"https://[^\s\"'`<>{}]+", source))
    own = [one for one in found if one != provider.base_url and not one.startswith(provider.base_url or "?")]
    unconfirmed = re.findall(r"unconfirmed: (.+)", source, re.IGNORECASE)
    parts = ["## Sources", "\n".join(f"- {one}" for one in own)] if own else []
    if unconfirmed:
        parts += ["Unconfirmed by the provider's documentation:", "\n".join(f"- {one}" for one in unconfirmed)]
    return "\n\n".join(parts)
