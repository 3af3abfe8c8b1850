"""A workflow receives each event in its format, which parsers of other projects read."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from hairtrigger.domain.outcome import Failure
from hairtrigger.domain.target import Format, Outgoing, WorkflowTarget
from hairtrigger.platform.clock import SystemClock
from hairtrigger.platform.egress import Egress
from hairtrigger.platform.vault import new_signing_secret
from hairtrigger.targets.formats import Content, content_of
from hairtrigger.targets.workflow import Workflow
from tests.support.servers import Seen, answering, serving

pytestmark = pytest.mark.anyio

SECRET = new_signing_secret()
FORMATS: dict[Format, dict[str, Any]] = {
    "json": {},
    "structured": {},
    "binary": {},
    "plain": {},
    "template": {"template": {"text": "{{type}}", "inputs": "{{data}}"}},
}


def config(format_: Format, url: str = "https://example.com/", **more: Any) -> WorkflowTarget:
    return WorkflowTarget.model_validate({"url": url, "format": format_, **FORMATS[format_], **more})


async def received(egress: Egress, outgoing: Outgoing, format_: Format, **more: Any) -> Seen:
    async with serving(answering()) as server:
        sent = await Workflow(config(format_, server.url, **more), egress, SystemClock(), [SECRET]).send(outgoing)
        assert sent.status == "delivered"
        return server.seen[0]


def made(outgoing: Outgoing, template: Any) -> Any:
    return json.loads(content_of(config("template", template=template), outgoing).body)


@pytest.mark.parametrize("format_", FORMATS)
async def test_every_format_is_signed_and_names_its_type(format_: Format, egress: Egress, outgoing: Outgoing) -> None:
    seen = await received(egress, outgoing, format_)

    Webhook(SECRET).verify(seen.body, dict(seen.headers))
    assert (
        seen.header("content-type")
        == {
            "json": "application/json",
            "structured": "application/cloudevents+json",
            "binary": outgoing.content_type,
            "plain": outgoing.content_type,
            "template": "application/json",
        }[format_]
    )
    assert seen.header("hairtrigger-test") is None


@pytest.mark.parametrize("format_", FORMATS)
async def test_every_format_tells_a_test_from_an_event(format_: Format, egress: Egress, outgoing: Outgoing) -> None:
    seen = await received(egress, replace(outgoing, is_test=True), format_)

    assert seen.header("hairtrigger-test") == "true"
    if format_ in {"json", "structured"}:
        assert json.loads(seen.body)["istest"] is True
    if format_ == "binary":
        assert seen.header("ce-istest") == "true"


async def test_json_and_structured_are_the_same_envelope(egress: Egress, outgoing: Outgoing) -> None:
    assert (await received(egress, outgoing, "json")).body == (await received(egress, outgoing, "structured")).body


# Binary


async def test_another_parser_reads_the_binary_format(egress: Egress, outgoing: Outgoing) -> None:
    odd = replace(outgoing, subject='é "100 %"', event_key="\U0001f600\n")

    seen = await received(egress, odd, "binary")

    event = from_binary_event(HTTPMessage(dict(seen.headers), seen.body))
    assert seen.body == outgoing.body
    assert (event.get_id(), event.get_type(), event.get_source()) == (str(odd.event_id), odd.type, odd.source)
    assert (event.get_subject(), event.get_extension("eventkey")) == ('é "100 %"', "\U0001f600\ufffd")
    assert event.get_time() == odd.time
    assert event.get_extension("attempt") == "2"


@given(subject=st.text(max_size=3000), key=st.text(max_size=300))
def test_any_attribute_fits_in_a_header(subject: str, key: str, outgoing: Outgoing) -> None:
    content = content_of(config("binary"), replace(outgoing, subject=subject, event_key=key))

    assert all(value.isascii() and value.isprintable() and len(value) <= 4096 for value in content.headers.values())


async def test_an_attribute_too_long_for_a_head_is_left_out(egress: Egress, outgoing: Outgoing) -> None:
    seen = await received(egress, replace(outgoing, subject="s" * 5000), "binary")

    assert seen.header("ce-subject") is None
    assert seen.header("ce-id") == str(outgoing.event_id)


@pytest.mark.parametrize("format_", ["binary", "plain"])
@pytest.mark.parametrize(
    ("content_type", "shown"),
    [
        ("text/csv; charset=latin-1", "text/csv; charset=latin-1"),
        ("", None),
        ("text/plain\r\nx-a: 1", "application/octet-stream"),
        ("text/\u20ac", "application/octet-stream"),
    ],
)
async def test_data_that_is_not_json_goes_as_it_came(
    format_: Format, content_type: str, shown: str | None, egress: Egress, outgoing: Outgoing
) -> None:
    seen = await received(egress, replace(outgoing, content_type=content_type, body=b"a;\xff\x00\n"), format_)

    assert (seen.header("content-type"), seen.body) == (shown, b"a;\xff\x00\n")
    assert seen.header("x-a") is None


# Templates


def test_a_placeholder_alone_becomes_its_value_of_whatever_type(outgoing: Outgoing) -> None:
    event = replace(
        outgoing, body=b'{"n": 1.0, "big": 123456789012345678901234567890, "list": [{"a": null}], "t": "x"}'
    )

    template = {
        "whole": "{{data}}",
        "event": " {{ event }} ",
        "number": "{{data.n}}",
        "list": "{{data.list}}",
        "null": "{{data.list.0.a}}",
        "missing": "{{data.nope.0}}",
        "text": "{{data.t}}",
        "attempt": "{{attempt}}",
        "test": "{{test}}",
        "kept": [1, None, True, {"{{type}}": 2}],
    }
    filled = made(event, template)

    assert filled == {
        "whole": json.loads(event.body),
        "event": json.loads(event.body),
        "number": 1.0,
        "list": [{"a": None}],
        "null": None,
        "missing": None,
        "text": "x",
        "attempt": 2,
        "test": False,
        "kept": [1, None, True, {"{{type}}": 2}],
    }


def test_the_data_stands_in_a_template_byte_for_byte(outgoing: Outgoing) -> None:
    content = content_of(config("template", template={"d": "{{data}}"}), outgoing)

    assert content.body == b'{"d":' + outgoing.body + b"}"


def test_within_text_a_value_is_text(outgoing: Outgoing) -> None:
    event = replace(outgoing, body=b'{"name": "\\"Zo\xc3\xab\\"\\n{{type}}", "n": [1]}')

    assert made(event, {"text": "New: {{data.name}} {{data.n}}{{data.nope}}!"}) == {"text": 'New: "Zoë"\n{{type}} [1]!'}


def test_data_that_is_not_json_is_text_in_a_template(outgoing: Outgoing) -> None:
    event = replace(outgoing, content_type="text/plain", body=b'say "\xff"')

    assert made(event, {"text": "{{data}}", "content": "-> {{event}}"}) == {
        "text": 'say "\ufffd"',
        "content": '-> say "\ufffd"',
    }


@given(text=st.text(alphabet='{}" \\aé\n', max_size=200), body=st.binary(max_size=50))
def test_a_template_always_makes_json(text: str, body: bytes, outgoing: Outgoing) -> None:
    config_ = WorkflowTarget.model_construct(
        url="https://example.com/", format="template", template={"a": text, "b": [text, "{{data}}"]}
    )

    content: Content = content_of(config_, replace(outgoing, content_type="text/plain", body=body))

    json.loads(content.body)


async def test_a_template_that_makes_too_much_is_told(egress: Egress, outgoing: Outgoing) -> None:
    event = replace(outgoing, body=json.dumps("x" * 500_000).encode())
    target = Workflow(config("template", template=["{{data}}"] * 10), egress, SystemClock(), [SECRET])

    sent = await target.send(event)

    assert (sent.status, sent.failure) == ("failed", Failure.TOO_LONG)
