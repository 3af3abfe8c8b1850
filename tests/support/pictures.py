"""Pictures of the requests that a workflow receives, made by the code that makes the requests."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from hairtrigger.domain.target import Format, Outgoing, WorkflowTarget
from hairtrigger.targets.formats import content_of
from hairtrigger.targets.workflow import Workflow
from tests.platform.odd_answers import READ, REFUSED

_NOW = datetime(2026, 5, 4, 10, 2, 7, tzinfo=UTC)
_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
_EVENT = Outgoing(
    delivery_id=UUID("019df2d0-1c00-7000-8000-000000000001"),
    event_id=UUID("019df2d0-1c00-7000-8000-000000000001"),
    attempt=1,
    source="/project-triggers/019df2c0-0000-7000-8000-000000000003",
    type="stripe.on_customer_created",
    subject="cus_1",
    time=_NOW - timedelta(seconds=2),
    content_type="application/json",
    body=b'{"id": "cus_1", "name": "Zo\xc3\xab", "balance": 1.0}',
    org_id=UUID("019df2c0-0000-7000-8000-000000000004"),
    project_id="proj_1",
    project_trigger_id=UUID("019df2c0-0000-7000-8000-000000000003"),
    event_key="evt_1",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)
_TEMPLATE = {"text": "New customer: {{data.name}}", "inputs": "{{data}}"}
_PURPOSE: dict[Format, str] = {
    "json": "The envelope of CloudEvents, labelled `application/json`. Every web framework and workflow tool parses it "
    "by itself (Express, Fastify, Flask, n8n, Node-RED), and the signature covers all of it. New projects have this "
    "format unless they name another.",
    "structured": "The same bytes under CloudEvents' own media type. Libraries for CloudEvents recognise it. Parsers "
    "that know `application/json` only see no body: Express gives `undefined`, Fastify answers 415. Projects that were "
    "made before there were formats have this one.",
    "binary": "The data alone as the body, and the attributes of the envelope in `ce-*` headers, percent-encoded where "
    "CloudEvents asks for it. **The signature covers the body, the id and the time, and no other header**: a `ce-*` "
    "header can be changed on its way unless the connection is HTTPS. An attribute longer than 4096 bytes is left out.",
    "plain": "The data alone, with the content type that it came with. `webhook-id` is the id of the delivery. For "
    "programs that expect exactly what the provider sends.",
    "template": "JSON of your own, for programs that expect a form of their own: `text` for Slack, `content` for "
    "Discord, `inputs` for Dify. A string that is one placeholder alone becomes its value, of whatever type; within a "
    "longer string the value is filled in as text. A missing value is `null`, and within a longer string nothing. "
    "Placeholders: `data`, `data.path.to.0.field`, `event` (the same as `data`, but indented within a text), `type`, "
    "`time`, `id`, `key`, `subject`, `attempt`, `test`, `project_id`, `delivery_id`.",
}


def formats_document() -> str:
    pictures = "\n".join(_section(name) for name in _PURPOSE)
    return f"""# The formats of requests to a workflow

A workflow is called with one POST for each event. `target.format` of its project decides what the POST contains. The
pictures below are made by the code that makes the requests. All show the same event.

Every request is signed as [Standard Webhooks](https://www.standardwebhooks.com) describes: `webhook-signature` is the
HMAC of `webhook-id`, `webhook-timestamp` and the body. Verify the bytes as they came, before any parser reads them:
with Express that is `express.raw({{type: "*/*"}})` on the route. The signing secret of the pictures is
`{_SECRET}`.

An event that did not happen, which a user sent to try the target, has the header `hairtrigger-test: true` in every
format, and the attribute `istest` in the envelope.

{pictures}"""


def _section(name: Format) -> str:
    template = f"\nWith the template `{_shown(_TEMPLATE)}`:\n" if name == "template" else ""
    return f"## `{name}`\n\n{_PURPOSE[name]}\n{template}\n```http\n{_picture(name)}\n```\n"


def _shown(template: dict[str, Any]) -> str:
    return "{" + ", ".join(f'"{name}": "{value}"' for name, value in template.items()) + "}"


def _picture(name: Format) -> str:
    template = _TEMPLATE if name == "template" else None
    config = WorkflowTarget(url="https://flow.example.com/run", format=name, template=cast("Any", template))
    workflow = Workflow(config, cast("Any", None), cast("Any", None), [_SECRET])
    content = content_of(config, _EVENT)
    headers = "\n".join(f"{name}: {value}" for name, value in workflow.headers(_EVENT, content, _NOW).items())
    return f"POST /run HTTP/1.1\nhost: flow.example.com\n{headers}\n\n{content.body.decode()}"


def odd_answers_document() -> str:
    read = "\n".join(f"- {name}" + (f" (told: it {odd.said})" if odd.said else "") for name, odd in READ.items())
    refused = "\n".join(f"| {name} | {one.why} |" for name, one in REFUSED.items())
    return f"""# Odd answers

Answers of targets and providers that are odd, and what becomes of them. The lists are those of a corpus of tests
(`tests/platform/odd_answers.py`); each answer in it is read whole, in pieces of seven bytes, and byte by byte.

An answer whose status is 2xx ends a delivery, even if its rest is refused: the target has run. Whatever was mended in a
head is told in the detail of the attempt.

## Read

{read}

## Refused

| answer | why |
|---|---|
{refused}
"""
