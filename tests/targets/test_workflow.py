import asyncio
import base64
import json
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from hairtrigger.domain.outcome import Failure
from hairtrigger.domain.target import Outgoing, Sent, Target, WorkflowTarget
from hairtrigger.platform.clock import SystemClock
from hairtrigger.platform.egress import Egress
from hairtrigger.platform.vault import new_signing_secret
from hairtrigger.targets.formats import cloud_event
from hairtrigger.targets.workflow import Workflow
from tests.support.clock import ManualClock, pass_time
from tests.support.servers import Answer, Seen, answering, saying, serving

pytestmark = pytest.mark.anyio

SECRET = new_signing_secret()


async def sent(egress: Egress, outgoing: Outgoing, answer: Answer, **config: object) -> tuple[Sent, list[Seen]]:
    async with serving(answer) as server:
        configured = WorkflowTarget.model_validate({"url": f"{server.url}/run", **config})
        target: Target = Workflow(configured, egress, SystemClock(), [SECRET])
        return await target.send(outgoing), server.seen


def read_by_someone_else(body: bytes) -> BaseCloudEvent:
    return from_structured_event(HTTPMessage({"content-type": "application/cloudevents+json"}, body))


# Requests to the workflow


async def test_a_delivery_is_a_signed_cloud_event(egress: Egress, outgoing: Outgoing) -> None:
    result, (seen,) = await sent(egress, outgoing, answering(202, b"queued"))

    assert result == Sent("delivered", 202, "The target answered 202.", response=b"queued")
    assert (seen.method, seen.path) == ("POST", "/run")
    assert seen.header("content-type") == "application/json"
    assert seen.header("webhook-id") == str(outgoing.delivery_id)
    Webhook(SECRET).verify(seen.body, dict(seen.headers))
    event = read_by_someone_else(seen.body)
    assert event.get_attributes() | {"time": None} == {
        "specversion": "1.0",
        "id": str(outgoing.event_id),
        "source": outgoing.source,
        "type": "stripe.on_customer_created",
        "subject": "cus_1",
        "time": None,
        "datacontenttype": "application/json; charset=utf-8",
        "orgid": str(outgoing.org_id),
        "projectid": "proj-1",
        "projecttriggerid": str(outgoing.project_trigger_id),
        "eventkey": "evt_1",
        "deliveryid": str(outgoing.delivery_id),
        "attempt": 2,
    }
    assert event.get_time() == outgoing.time
    assert event.get_data() == json.loads(outgoing.body)


async def test_every_live_secret_signs_so_that_a_receiver_may_have_either(egress: Egress, outgoing: Outgoing) -> None:
    old, new = new_signing_secret(), new_signing_secret()
    async with serving(answering()) as server:
        config = WorkflowTarget(url=server.url)
        await Workflow(config, egress, SystemClock(), [new, old]).send(outgoing)
        (seen,) = server.seen

    for secret in (old, new):
        Webhook(secret).verify(seen.body, dict(seen.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(new_signing_secret()).verify(seen.body, dict(seen.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(seen.body + b" ", dict(seen.headers))


async def test_a_retry_has_the_same_id_and_a_new_time(egress: Egress, outgoing: Outgoing) -> None:
    clock = ManualClock(datetime(2026, 3, 29, 1, 0, 0, 700_000, tzinfo=UTC))
    async with serving(answering()) as server:
        workflow = Workflow(WorkflowTarget(url=server.url), egress, clock, [SECRET])
        await workflow.send(outgoing)
        clock.advance(timedelta(minutes=5))
        await workflow.send(replace(outgoing, attempt=3))
        first, second = server.seen

    assert first.header("webhook-id") == second.header("webhook-id")
    assert int(second.header("webhook-timestamp") or 0) - int(first.header("webhook-timestamp") or 0) == 300
    assert first.header("webhook-timestamp") == "1774746000"


async def test_a_workflow_without_a_signing_secret_is_refused(egress: Egress) -> None:
    with pytest.raises(ValueError, match="needs a signing secret"):
        Workflow(WorkflowTarget(url="https://example.com/"), egress, SystemClock(), [])


async def test_own_headers_the_credential_and_the_trace_go_along(egress: Egress, outgoing: Outgoing) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with serving(answering()) as server:
        config = WorkflowTarget(url=server.url, headers={"X-Tenant": SecretStr("7")})
        await Workflow(config, egress, SystemClock(), [SECRET], "t0p").send(replace(outgoing, traceparent=trace))
        (seen,) = server.seen

    assert (seen.header("x-tenant"), seen.header("authorization")) == ("7", "Bearer t0p")
    assert seen.header("traceparent") == read_by_someone_else(seen.body).get_extension("traceparent") == trace


def test_a_replay_names_what_it_repeats(outgoing: Outgoing) -> None:
    before = UUID("0190f7a4-9999-7000-8000-000000000009")

    event = read_by_someone_else(cloud_event(replace(outgoing, replay_of=before)))

    assert event.get_extension("replayof") == str(before)


# The envelope

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(data=json_values, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_json_data_stands_in_the_envelope_byte_for_byte(
    data: object, indent: int | None, ascii_only: bool, outgoing: Outgoing
) -> None:
    body = json.dumps(data, indent=indent, ensure_ascii=ascii_only).encode()

    event = cloud_event(replace(outgoing, body=body))

    assert b',"data":' + body + b"}" in event
    assert read_by_someone_else(event).get_data() == data


@pytest.mark.parametrize(
    "body", [b"1.0", b"1e400", b"-0", b' {"b":1,"a":1, "a":2}\n', b"123456789012345678901234567890"]
)
def test_spellings_that_a_parser_would_lose_are_kept(body: bytes, outgoing: Outgoing) -> None:
    assert cloud_event(replace(outgoing, body=body)).endswith(b',"data":' + body + b"}")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"a":1}, "id": "forged"'),
        ("application/json", b"{"),
        ("application/json", b'"\xff"'),
        ("application/json", b"NaN"),
        ("application/json", b"\xef\xbb\xbf{}"),
        ("application/json", b"[" * 100_000 + b"]" * 100_000),
        ("application/x-www-form-urlencoded", b"a=1&b=2"),
        ("application/octet-stream", bytes(range(256))),
    ],
)
def test_what_is_not_json_is_carried_as_base64(content_type: str, body: bytes, outgoing: Outgoing) -> None:
    event = cloud_event(replace(outgoing, content_type=content_type, body=body))

    assert read_by_someone_else(event).get_data() == body
    assert json.loads(event)["data_base64"] == base64.b64encode(body).decode()
    assert json.loads(event)["id"] == str(outgoing.event_id)


@pytest.mark.parametrize("content_type", ["text/plain", "text/csv; charset=utf-8", "application/xml", "image/svg+xml"])
def test_text_is_carried_as_text(content_type: str, outgoing: Outgoing) -> None:
    event = cloud_event(replace(outgoing, content_type=content_type, body='{"n": "ü"}\n'.encode()))

    assert json.loads(event)["data"] == '{"n": "ü"}\n'
    assert read_by_someone_else(event).get_data() == '{"n": "ü"}\n'


def test_bytes_that_are_no_text_whatever_their_type_says_are_carried_as_base64(outgoing: Outgoing) -> None:
    event = cloud_event(replace(outgoing, content_type="text/plain", body=b"\xff"))

    assert json.loads(event)["data_base64"] == "/w=="


def test_what_is_kept_of_a_request_is_carried_as_attributes(outgoing: Outgoing) -> None:
    kept = '{"method":"PUT","query":{"source":"a"},"headers":{"x-shopify-topic":"orders/create"}}'
    event = json.loads(cloud_event(replace(outgoing, request=kept)))

    assert (event["requestmethod"], event["requestquery"]) == ("PUT", '{"source":"a"}')
    assert event["requestheaders"] == '{"x-shopify-topic":"orders/create"}'
    read_by_someone_else(json.dumps(event).encode())


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/vnd.api+json", "text/json; charset=utf-8", ""]
)
def test_json_goes_by_many_names(content_type: str, outgoing: Outgoing) -> None:
    event = cloud_event(replace(outgoing, content_type=content_type, body=b'{"a":1}'))

    assert read_by_someone_else(event).get_data() == {"a": 1}


def test_an_event_without_a_body_has_no_data(outgoing: Outgoing) -> None:
    event = cloud_event(replace(outgoing, body=b""))

    assert read_by_someone_else(event).get_data() is None


@given(subject=st.none() | st.text(alphabet=st.characters()), key=st.text(alphabet=st.characters(), min_size=1))
def test_any_text_of_a_provider_makes_a_valid_event(subject: str | None, key: str, outgoing: Outgoing) -> None:
    event = read_by_someone_else(cloud_event(replace(outgoing, subject=subject, event_key=key)))

    assert event.get_id() == str(outgoing.event_id)
    for name, value in event.get_attributes().items():
        assert name.strip(string.ascii_lowercase + string.digits) == ""
        assert not isinstance(value, str) or not set(value) & {chr(code) for code in (*range(32), *range(127, 160))}


# Answers of the workflow


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_every_2xx_is_delivered(status: int, egress: Egress, outgoing: Outgoing) -> None:
    result, _ = await sent(egress, outgoing, answering(status))

    assert (result.status, result.response_status) == ("delivered", status)


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (400, "The target answered 400 Bad Request."),
        (429, "The target answered 429 Too Many Requests."),
        (500, "The target answered 500 Internal Server Error."),
        (799, "The target answered 799."),
    ],
)
async def test_every_other_answer_is_a_failure(status: int, detail: str, egress: Egress, outgoing: Outgoing) -> None:
    result, _ = await sent(egress, outgoing, answering(status, b"why"))

    assert result == Sent("failed", status, detail, response=b"why", failure=Failure.STATUS)


async def test_410_means_never_again(egress: Egress, outgoing: Outgoing) -> None:
    result, _ = await sent(egress, outgoing, answering(410))

    assert (result.status, result.response_status) == ("gone", 410)


async def test_a_redirect_is_not_followed_and_says_so(egress: Egress, outgoing: Outgoing) -> None:
    async with serving(answering()) as other:
        result, seen = await sent(egress, outgoing, answering(307, b"", ("Location", other.url)))

        assert other.connections == 0
    assert (result.status, result.response_status, len(seen)) == ("failed", 307, 1)
    assert "redirects are not followed" in result.detail


async def test_a_target_may_ask_to_be_left_alone(egress: Egress, outgoing: Outgoing) -> None:
    result, _ = await sent(egress, outgoing, answering(503, b"", ("Retry-After", "120")))
    assert result.retry_after == timedelta(seconds=120)

    result, _ = await sent(egress, outgoing, answering(503, b"", ("Retry-After", "soon")))
    assert result.retry_after is None


async def test_only_the_beginning_of_an_answer_is_kept_and_waited_for(egress: Egress, outgoing: Outgoing) -> None:
    async def endless(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    result, _ = await sent(egress, outgoing, endless)

    assert (result.status, result.response) == ("delivered", b"x" * 16 * 1024)


async def test_a_target_that_is_not_there_is_a_failure(egress: Egress, outgoing: Outgoing) -> None:
    async with serving(answering()) as server:
        config = WorkflowTarget(url=server.url)

    result = await Workflow(config, egress, SystemClock(), [SECRET]).send(outgoing)

    assert result == Sent("failed", None, "The address could not be reached.", failure=Failure.CONNECT)


async def test_a_target_that_does_not_answer_in_time_is_a_failure(egress: Egress, outgoing: Outgoing) -> None:
    async def silent(_: Seen, __: asyncio.StreamWriter) -> None:
        pass_time(timedelta(seconds=300))
        await asyncio.Event().wait()

    result, _ = await sent(egress, outgoing, silent, timeout_seconds=300)

    late = "The answer took longer than 300 seconds."
    assert result == Sent("failed", None, late, failure=Failure.TIMEOUT)


@pytest.mark.parametrize("raw", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 20"])
async def test_less_than_a_status_is_a_failure(raw: bytes, egress: Egress, outgoing: Outgoing) -> None:
    result, _ = await sent(egress, outgoing, saying(raw))

    assert (result.status, result.response_status) == ("failed", None)


async def test_neither_the_target_nor_its_result_shows_a_secret(egress: Egress, outgoing: Outgoing) -> None:
    async with serving(answering(401, b"wrong key")) as server:
        config = WorkflowTarget(url=server.url, headers={"X-Api-Key": "t0p-1"})
        workflow = Workflow(config, egress, SystemClock(), [SECRET], "t0p-2")
        result = await workflow.send(outgoing)

    for shown in (repr(workflow), repr(result), result.detail):
        assert not any(secret in shown for secret in (SECRET, SECRET.removeprefix("whsec_"), "t0p"))
