"""Spans of requests, polls and deliveries, and what targets are told of the trace."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtocolSpan
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from hairtrigger.domain.errors import HairtriggerError
from hairtrigger.domain.event import Draft
from hairtrigger.domain.outcome import Code, Failure
from hairtrigger.domain.target import Sent
from hairtrigger.domain.trace import Begun, Span, TraceContext
from hairtrigger.kit.auth import NoAuth
from hairtrigger.kit.http import WatchedHttp
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.metering import Families
from hairtrigger.platform.otlp import collecting as collecting_at
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import schedule, webhook
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.tracing import Tracing
from hairtrigger.store.database import Store
from tests.services.scene import Scene, a_scene
from tests.support.clock import ManualClock
from tests.support.collector import attributes, collecting
from tests.support.internet import Internet

pytestmark = pytest.mark.anyio

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SENT = f"00-{TRACE}-{SPAN}-01"
NOW = datetime(2026, 5, 4, tzinfo=UTC)
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"

Staged = Callable[[Tracing | None], AbstractAsyncContextManager[Scene]]


class Sink:
    """A collector in this process."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.takes = True

    def send(self, spans: Sequence[Span]) -> bool:
        if self.takes:
            self.spans += spans
        return self.takes

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def tracing(clock: ManualClock, sink: Sink) -> Tracing:
    return Tracing(clock, sink.send)


@pytest.fixture
def staged(store: Store, clock: ManualClock, vault: Vault) -> Staged:
    def stage(tracing: Tracing | None) -> AbstractAsyncContextManager[Scene]:
        return a_scene(store, clock, vault, webhook.provider, schedule.provider, tracing=tracing)

    return stage


async def delivered(scene: Scene, **headers: str) -> None:
    id_, secret = await scene.webhook()
    await scene.request(id_, secret, "a", **headers)
    await scene.deliver()


async def test_a_sender_s_trace_goes_on_through_the_event_to_the_target(
    staged: Staged, tracing: Tracing, sink: Sink
) -> None:
    async with staged(tracing) as scene:
        await delivered(scene, traceparent=SENT, tracestate="vendor=1")
        await tracing.flush()

    [request], [event], [claim], [attempt] = (sink.named(name) for name in ("webhook", "event", "claim", "attempt"))
    assert {span.trace_id for span in sink.spans} == {TRACE}
    assert {span.state for span in sink.spans} == {"vendor=1"}
    assert (request.parent_id, event.parent_id) == (SPAN, request.span_id)
    assert (claim.parent_id, attempt.parent_id) == (event.span_id, event.span_id)
    assert len({span.span_id for span in sink.spans}) == 4
    [outgoing] = scene.received
    assert (outgoing.traceparent, outgoing.tracestate) == (f"00-{TRACE}-{attempt.span_id}-01", "vendor=1")
    assert event.attributes["hairtrigger.event.id"] == str(outgoing.event_id)


async def test_without_a_sender_s_trace_a_new_one_begins(staged: Staged, tracing: Tracing, sink: Sink) -> None:
    async with staged(tracing) as scene:
        await delivered(scene)
        await tracing.flush()

    [request], [attempt] = sink.named("webhook"), sink.named("attempt")
    assert request.parent_id is None
    assert request.trace_id == attempt.trace_id
    assert scene.received[0].traceparent == f"00-{request.trace_id}-{attempt.span_id}-01"


@pytest.mark.parametrize("given", [SENT, UNSAMPLED])
async def test_without_tracing_the_target_gets_what_the_sender_sent(staged: Staged, given: str) -> None:
    async with staged(None) as scene:
        await delivered(scene, traceparent=given, tracestate="vendor=1")

    assert (scene.received[0].traceparent, scene.received[0].tracestate) == (given, "vendor=1")


async def test_without_tracing_and_a_sender_s_trace_the_target_gets_none(staged: Staged) -> None:
    async with staged(None) as scene:
        await delivered(scene, traceparent="00-not-a-trace-01", tracestate="vendor=1")

    assert (scene.received[0].traceparent, scene.received[0].tracestate) == (None, None)


async def test_a_sender_that_does_not_record_is_followed(staged: Staged, tracing: Tracing, sink: Sink) -> None:
    async with staged(tracing) as scene:
        await delivered(scene, traceparent=UNSAMPLED)
        await tracing.flush()

    assert sink.spans == []
    assert scene.received[0].traceparent == UNSAMPLED


async def test_a_process_without_tracing_passes_on_the_span_of_the_one_that_stored_the_event(
    staged: Staged, tracing: Tracing, sink: Sink
) -> None:
    async with staged(tracing) as scene:
        id_, secret = await scene.webhook()
        await scene.request(id_, secret, "a", traceparent=SENT)
        await tracing.flush()
        await scene.deliver(tracing=Tracing(scene.clock))

    [event] = sink.named("event")
    assert scene.received[0].traceparent == f"00-{TRACE}-{event.span_id}-01"


async def test_each_attempt_has_a_span_of_its_own_and_says_how_it_ended(
    staged: Staged, tracing: Tracing, sink: Sink
) -> None:
    async with staged(tracing) as scene:
        scene.answers = [
            Sent("failed", None, "No connection.", failure=Failure.REFUSED_ADDRESS),
            Sent("delivered", 200, "Delivered."),
        ]
        await delivered(scene)
        scene.passes(hours=1)
        await scene.deliver()
        await tracing.flush()

    first, second = sink.named("attempt")
    assert [span.error for span in (first, second)] == ["failed", None]
    assert first.attributes["error.type"] == "unreachable"
    assert (first.attributes["hairtrigger.attempt"], second.attributes["hairtrigger.attempt"]) == (1, 2)
    assert [one.traceparent for one in scene.received] == [
        f"00-{span.trace_id}-{span.span_id}-01" for span in (first, second)
    ]
    assert len(sink.named("claim")) == 1


async def test_a_repeat_has_a_request_and_no_event(staged: Staged, tracing: Tracing, sink: Sink) -> None:
    async with staged(tracing) as scene:
        id_, secret = await scene.webhook()
        for _ in range(2):
            await scene.request(id_, secret, "a")
        await tracing.flush()

    assert [span.attributes["hairtrigger.outcome"] for span in sink.named("webhook")] == ["accepted", "duplicate"]
    assert len(sink.named("event")) == 1


async def test_a_firing_begins_a_trace(staged: Staged, tracing: Tracing, sink: Sink) -> None:
    async with staged(tracing) as scene:
        id_ = await scene.world.enabled("schedule", "on_schedule", {"interval": "1m"})
        scene.passes(minutes=1)
        await scene.world.schedules.run_due()
        await scene.world.schedules.fire_now(scene.world.caller, id_)
        await scene.deliver()
        await tracing.flush()

    events = sink.named("event")
    assert [span.parent_id for span in events] == [None, None]
    assert {span.parent_id for span in sink.named("attempt")} == {span.span_id for span in events}


async def things(_: Request) -> Response:
    return JSONResponse(["a", "b"], headers={"set-cookie": "a=secret"})


@pytest.fixture
async def polled(store: Store, clock: ManualClock, vault: Vault, tracing: Tracing) -> AsyncIterator[Scene]:
    async def poll(question: Question[Any]) -> Page:
        found = await question.api.get("things", {"token": "sesame"})
        return Page([Draft(key, b"{}") for key in found], {})

    trigger = Polling(
        id="on_thing", name="Thing", description="A thing.", config=PollingConfig, poll=poll, baseline=False
    )
    provider = Provider(
        id="polled", name="Polled", base_url="https://api.example/v1/", auth=NoAuth(), triggers=(trigger,)
    )
    internet = Internet({"https://api.example": Starlette(routes=[Route("/v1/things", things)])})
    async with a_scene(store, clock, vault, provider, http=internet, tracing=tracing) as scene:
        yield scene


async def test_a_poll_has_its_fetches_and_its_events_below_it_and_no_span_holds_what_may_be_secret(
    polled: Scene, tracing: Tracing, sink: Sink
) -> None:
    await polled.world.enabled("polled", "on_thing", {"polling_frequency": 60})
    polled.passes(minutes=10)
    await polled.poll()
    await polled.deliver()
    await tracing.flush()

    [poll], [fetch], events = sink.named("poll"), sink.named("fetch"), sink.named("event")
    assert poll.attributes == {"hairtrigger.outcome": "accepted", "hairtrigger.provider": "polled"}
    assert {span.parent_id for span in (fetch, *events)} == {poll.span_id}
    assert fetch.attributes == {
        "http.request.method": "GET",
        "server.address": "api.example",
        "http.response.status_code": 200,
    }
    assert {span.parent_id for span in sink.named("attempt")} == {span.span_id for span in events}
    assert len({span.trace_id for span in sink.spans}) == 1
    assert not any(word in repr(sink.spans) for word in ("sesame", "secret", "/v1/things"))


async def test_a_call_that_gets_no_answer_is_a_fetch_without_a_status(tracing: Tracing, sink: Sink) -> None:
    class Broken:
        async def send(self, method: str, url: str, **_: Any) -> Any:
            raise ConnectionError

    watch = tracing.watch(Begun(TRACE, None))
    assert watch
    with pytest.raises(ConnectionError):
        await WatchedHttp(Broken(), watch).send("GET", "https://api.example/")
    await tracing.flush()

    [fetch] = sink.spans
    assert fetch.error == "No answer came."
    assert "http.response.status_code" not in fetch.attributes


async def test_not_more_traces_begin_in_a_second_than_are_allowed(clock: ManualClock, sink: Sink) -> None:
    tracing = Tracing(clock, sink.send, per_second=3)

    assert [tracing.begun() is not None for _ in range(5)] == [True, True, True, False, False]
    clock.advance(timedelta(seconds=1))
    assert tracing.begun() is not None


def test_the_share_of_senders_traces_that_is_recorded_follows_from_their_ids(clock: ManualClock, sink: Sink) -> None:
    half = Tracing(clock, sink.send, ratio=0.5, per_second=10_000)
    low, high = (TraceContext(f"{'f' * 18}{first}{'0' * 13}", SPAN) for first in "08")

    assert half.begun(low) is not None
    assert half.begun(high) is None
    assert Tracing(clock, sink.send, ratio=0).begun() is None


async def test_spans_that_no_collector_takes_are_given_up_counted_and_told_once(clock: ManualClock, sink: Sink) -> None:
    metrics = Metrics()
    tracing = Tracing(clock, sink.send, metrics=metrics)
    begun = Begun(TRACE, None)
    sink.takes = False
    with capture_logs() as logs:
        for _ in range(3):
            tracing.polled(begun, clock.now(), Code.EMPTY, "rss")
            await tracing.flush()
        for _ in range(5000):
            tracing.polled(begun, clock.now(), Code.EMPTY, "rss")
        sink.takes = True
        await tracing.flush()

    text = generate_latest(Families(metrics.all()).registry()).decode()
    assert 'hairtrigger_spans_total{outcome="refused"} 3.0' in text
    assert 'hairtrigger_spans_total{outcome="given_up"} 904.0' in text
    assert 'hairtrigger_spans_total{outcome="sent"} 4096.0' in text
    assert len(sink.spans) == 4096
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]


async def test_a_collector_reads_the_spans_with_the_protocol_s_own_package(
    staged: Staged, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
        with collecting_at("1.2.3", "all", on=True) as way:
            assert way
            tracing = Tracing(clock, way.send)
            async with staged(tracing) as scene:
                scene.answers = [Sent("failed", 500, "The target answered 500.", failure=Failure.STATUS)]
                await delivered(scene, traceparent=SENT, tracestate="vendor=1")
                await tracing.flush()

    by_name = {span.name: span for span in collector.spans}
    assert by_name.keys() == {"webhook", "event", "claim", "attempt"}
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert by_name["webhook"].parent_span_id.hex() == SPAN
    assert by_name["event"].parent_span_id == by_name["webhook"].span_id
    assert by_name["attempt"].parent_span_id == by_name["event"].span_id
    kinds = {name: ProtocolSpan.SpanKind.Name(span.kind) for name, span in by_name.items()}
    assert kinds == {
        "webhook": "SPAN_KIND_SERVER",
        "event": "SPAN_KIND_PRODUCER",
        "claim": "SPAN_KIND_CONSUMER",
        "attempt": "SPAN_KIND_CLIENT",
    }
    attempt = by_name["attempt"]
    assert attempt.status.code == attempt.status.STATUS_CODE_ERROR
    assert attributes(attempt)["http.response.status_code"] == 500
    assert attempt.trace_state == "vendor=1"
    assert attempt.start_time_unix_nano == int(clock.now().timestamp()) * 10**9
    assert (
        collector.resources[0].items()
        >= {
            "service.name": "hairtrigger",
            "service.version": "1.2.3",
            "hairtrigger.role": "all",
            "deployment.environment": "test",
        }.items()
    )


async def test_the_name_that_an_operator_gives_the_service_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "triggers")
        with collecting_at("1.2.3", "api", on=True) as way:
            assert way
            span = Span("poll", "internal", TRACE, SPAN, None, NOW, NOW, {})
            assert await asyncio.to_thread(way.send, [span])

    assert collector.resources[0]["service.name"] == "triggers"


async def test_a_collector_that_refuses_spans_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async with collecting() as collector:
        collector.status = 400
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with collecting_at("1.2.3", "api", on=True) as way:
            assert way
            span = Span("poll", "internal", TRACE, SPAN, None, NOW, NOW, {})
            assert not await asyncio.to_thread(way.send, [span])


def test_without_the_library_the_start_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with (
        pytest.raises(HairtriggerError, match=r"pip install 'hairtrigger\[traces\]'"),
        collecting_at("1", "all", on=True),
    ):
        pass
