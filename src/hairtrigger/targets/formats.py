"""The formats of the requests to a workflow. `docs/target-formats.md` shows the bytes of each.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

import base64
import re
from dataclasses import dataclass, field
from datetime import UTC
from typing import assert_never

from pydantic_core import to_json

from hairtrigger.domain.target import Outgoing, WorkflowTarget
from hairtrigger.targets.answers import json_of, request_attributes, text_of
from hairtrigger.targets.template import filled

# The characters that CloudEvents forbids in its strings.
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")

# The characters that CloudEvents encodes in headers: all but the printable ones, and of these the space, " and %.
_ENCODED = re.compile(r"[^!#$&-~]")
_LONGEST_HEADER = 4096  # servers answer 431 to a head of more than 8 to 16 KB
_SENDABLE = re.compile(r"[ -~]+")


@dataclass(frozen=True)
class Content:
    """The body of a request, and the headers that describe it."""

    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def content_of(config: WorkflowTarget, outgoing: Outgoing) -> Content:
    """Return the body that carries the event in the target's format, and the headers that describe it. Raises `TooLong`
    if the target's template makes too much of the event.
    """
    match config.format:
        case "json":
            return Content({"content-type": "application/json"}, cloud_event(outgoing))
        case "structured":
            return Content({"content-type": "application/cloudevents+json"}, cloud_event(outgoing))
        case "binary":
            return Content(_content_type(outgoing) | _attribute_headers(outgoing), outgoing.body)
        case "plain":
            return Content(_content_type(outgoing), outgoing.body)
        case "template":
            return Content({"content-type": "application/json"}, filled(config.template, outgoing))
        case other:
            assert_never(other)


def cloud_event(outgoing: Outgoing) -> bytes:
    """Return the event in CloudEvents' JSON format. JSON data is copied byte for byte, so 1.0 stays 1.0."""
    given = {"specversion": "1.0", **_attributes(outgoing), "datacontenttype": _text(outgoing.content_type) or None}
    return to_json(_given(given)).removesuffix(b"}") + _data(outgoing) + b"}"


def _attributes(outgoing: Outgoing) -> dict[str, str | int | bool | None]:
    attributes: dict[str, str | int | bool | None] = {
        "id": str(outgoing.event_id),
        "source": outgoing.source,
        "type": outgoing.type,
        "subject": outgoing.subject or None,
        "time": outgoing.time.astimezone(UTC).isoformat(),
        "orgid": str(outgoing.org_id),
        "projectid": outgoing.project_id,
        "projecttriggerid": str(outgoing.project_trigger_id),
        "eventkey": outgoing.event_key,
        "deliveryid": str(outgoing.delivery_id),
        "attempt": outgoing.attempt,
        "replayof": str(outgoing.replay_of) if outgoing.replay_of else None,
        "istest": outgoing.is_test or None,
        "incomplete": outgoing.incomplete or None,
        "traceparent": outgoing.traceparent,
        **request_attributes(outgoing),
    }
    return {name: _text(value) if isinstance(value, str) else value for name, value in attributes.items()}


def _given(values: dict[str, str | int | bool | None]) -> dict[str, str | int | bool]:
    return {name: value for name, value in values.items() if value is not None}


def _attribute_headers(outgoing: Outgoing) -> dict[str, str]:
    """Return the CloudEvents attributes as headers `ce-…`. An attribute that is too long for the head of a request is
    left out.
    """
    shown = {"ce-specversion": "1.0"}
    for name, value in _given(_attributes(outgoing)).items():
        encoded = _encoded(str(value).lower() if isinstance(value, bool) else str(value))
        if len(encoded) <= _LONGEST_HEADER:
            shown[f"ce-{name}"] = encoded
    return shown


def _encoded(value: str) -> str:
    return _ENCODED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), value)


def _content_type(outgoing: Outgoing) -> dict[str, str]:
    if not outgoing.content_type:
        return {}
    sendable = _SENDABLE.fullmatch(outgoing.content_type)
    return {"content-type": outgoing.content_type if sendable else "application/octet-stream"}


def _data(outgoing: Outgoing) -> bytes:
    if not outgoing.body:
        return b""
    try:
        json_of(outgoing)
    except ValueError:
        text = text_of(outgoing)
        if text is not None:
            return b',"data":' + to_json(text)
        return b',"data_base64":"' + base64.b64encode(outgoing.body) + b'"'
    return b',"data":' + outgoing.body


def _text(value: str) -> str:
    if value.isascii() and value.isprintable():
        return value
    return _NOT_TEXT.sub("\ufffd", value)
