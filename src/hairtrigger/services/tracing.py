"""Record traces of requests, polls and deliveries for OpenTelemetry.

Whether the spans of an event are recorded is decided once, when the event comes in. The decision is stored with the
event: if they are, the event's trace context names a span of the event itself. So all processes agree about an event,
and an event that is not recorded costs almost nothing. Spans wait in memory as plain records. A thread turns them into
the library's spans and sends those.
"""

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from hairtrigger.domain.ids import time_of
from hairtrigger.domain.outcome import Code
from hairtrigger.domain.target import Sent
from hairtrigger.domain.trace import Begun, Span, TraceContext, span_of, stored_context
from hairtrigger.kit.http import Watch
from hairtrigger.platform.clock import Clock, SystemClock
from hairtrigger.platform.loops import every
from hairtrigger.services.metrics import Metrics
from hairtrigger.store.delivery.queue_messages import Message
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.request_batches import Write

log = structlog.get_logger()

_EVERY = timedelta(seconds=2)
_MOST_WAITING = 4096  # spans
_MOST_SENT = 512  # at once
_SECOND = timedelta(seconds=1)
_LONGEST_TYPE = 255  # characters
_LOW_BITS = (1 << 56) - 1  # of a trace id, which are random

Send = Callable[[Sequence[Span]], bool]
"""A function that sends spans to the collector and returns whether it took them. It may block."""


@dataclass(frozen=True, slots=True)
class Hop:
    """The place of an attempt in a trace, which its target is told. A `recorded` attempt has a span of its own."""

    context: TraceContext
    recorded: bool
    parent_id: str


class Tracing:
    """The traces that one process records. Without `send` it records none, and passes on the traces of senders
    unchanged.

    The share `ratio` of requests and polls is recorded, from 0 to 1, but at most `per_second` of them in a second.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        send: Send | None = None,
        *,
        ratio: float = 1.0,
        per_second: int = 50,
        metrics: Metrics | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._send = send
        self._ratio = ratio
        self._per_second = per_second
        self._metrics = metrics or Metrics()
        self._waiting: deque[Span] = deque()
        self._until = self._clock.now()  # the end of the second that is counted
        self._begun = 0  # in this second
        self._refused = False  # by the collector, the last time

    @property
    def on(self) -> bool:
        return self._send is not None

    def begun(self, given: TraceContext | None = None) -> Begun | None:
        """Return the trace of a request or poll that begins, or None if its spans are not recorded.

        `given` is the sender's trace. If the sender does not record it, this service does not either. If the sender
        does, the `ratio` and the limit hold as for others.
        """
        if self._send is None or not self._chosen(given):
            return None
        if (now := self._clock.now()) >= self._until:
            self._until, self._begun = now + _SECOND, 0
        if self._begun >= self._per_second:
            return None
        self._begun += 1
        return Begun(given.trace_id, given.span_id, given.flags, given.state) if given else Begun(uuid4().hex, None)

    def _chosen(self, given: TraceContext | None) -> bool:
        if given is None:
            return self._ratio >= 1 or random.random() < self._ratio  # noqa: S311 it is no secret
        return given.sampled and int(given.trace_id, 16) & _LOW_BITS < self._ratio * (_LOW_BITS + 1)

    # -- what comes in

    def stored(self, writes: Sequence[Write], answers: Sequence[Sequence[Event] | None], began: datetime) -> None:
        """Record the requests of a batch that is on disk, and their events. The batch began to be stored at `began`."""
        if self._send is None:
            return
        for write, fresh in zip(writes, answers, strict=True):
            if write.trace and fresh is not None:
                told = _ended(Code.ACCEPTED if fresh else Code.DUPLICATE, write.provider_id)
                self._add(self._root(write.trace, "webhook", write.events[0].received_at, told))
                self.events(write.trace, fresh, began)

    def polled(self, trace: Begun | None, began: datetime, code: Code, provider_id: str) -> None:
        if trace:
            self._add(self._root(trace, "poll", began, _ended(code, provider_id)))

    def watch(self, trace: Begun | None) -> Watch | None:
        """Return the function that a poll must call for each call to its provider, so that spans of these are recorded.

        Return None if the poll's spans are not recorded.
        """
        if trace is None:
            return None

        def watch(method: str, url: str) -> Callable[[int | None], None]:
            began = self._clock.now()
            return lambda status: self._fetched(trace, began, method, urlsplit(url).hostname or "", status)

        return watch

    def _fetched(self, trace: Begun, began: datetime, method: str, host: str, status: int | None) -> None:
        """Record a call to a provider, without its path and query, because these may hold secrets. `status` is None
        without an answer.
        """
        told: dict[str, str | int] = {"http.request.method": method[:16], "server.address": host[:255]}
        if status is not None:
            told["http.response.status_code"] = status
        error = None if status is not None else "No answer came."
        ids, times = (trace.trace_id, secrets.token_hex(8), trace.span_id), (began, self._clock.now())
        self._add(Span("fetch", "client", *ids, *times, told, trace.state, error))

    def events(self, trace: Begun | None, fresh: Iterable[Event], began: datetime) -> None:
        """Record a span for each of these new events, if its spans are recorded. They began to be stored at `began`.

        `trace` is that of the request or poll that brought them, if its spans are recorded.
        """
        if self._send is None:
            return
        parent_id, now = trace.span_id if trace else None, self._clock.now()
        for event in fresh:
            if event.trace and (own := stored_context(event.trace)).span_id == span_of(event.id):
                told = {**_about(event), "hairtrigger.event.type": event.type[:_LONGEST_TYPE]}
                span = Span("event", "producer", own.trace_id, own.span_id, parent_id, began, now, told, own.state)
                self._add(span)

    def _root(self, trace: Begun, name: str, began: datetime, told: Mapping[str, str | int]) -> Span:
        now = self._clock.now()
        return Span(
            name,
            "server" if name == "webhook" else "internal",
            trace.trace_id,
            trace.span_id,
            trace.parent_id,
            began,
            now,
            told,
            trace.state,
        )

    # -- what goes out

    def hop(self, event: Event | None) -> Hop | None:
        """Return the place in the trace that an attempt to deliver the event tells its target, or None if the event has
        no trace.
        """
        if event is None or event.trace is None:
            return None
        context = stored_context(event.trace)
        if self._send is None or context.span_id != span_of(event.id):
            return Hop(context, recorded=False, parent_id=context.span_id)
        own = TraceContext(context.trace_id, secrets.token_hex(8), context.flags, context.state)
        return Hop(own, recorded=True, parent_id=context.span_id)

    def attempted(self, hop: Hop | None, event: Event, message: Message, sent: Sent, began: datetime) -> None:
        """Record an attempt that began at `began`. With the first attempt of an event, record how long the event waited
        for it.
        """
        if hop is None or not hop.recorded:
            return
        own = hop.context
        told = _about(event) | {
            "hairtrigger.delivery.id": str(message.delivery_id),
            "hairtrigger.attempt": message.attempt,
        }
        if message.attempt == 1 and message.delivery_id == event.id:
            queued = min(datetime.fromtimestamp(time_of(event.id), UTC), began)
            claim = (own.trace_id, secrets.token_hex(8), hop.parent_id, queued, began, dict(told), own.state)
            self._add(Span("claim", "consumer", *claim))
        if sent.response_status is not None:
            told["http.response.status_code"] = sent.response_status
        if sent.failure is not None:
            told["error.type"] = str(sent.failure.shown)
        error = None if sent.status == "delivered" else sent.status
        ids = (own.trace_id, own.span_id, hop.parent_id)
        self._add(Span("attempt", "client", *ids, began, self._clock.now(), told, own.state, error))

    # -- to the collector

    def _add(self, span: Span) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(span)
        else:
            self._metrics.spans.add(("given_up",))

    async def run(self) -> None:
        if self._send is not None:
            await every(_EVERY, "traces", self.flush, at_once=False)

    async def flush(self) -> None:
        """Send the spans that wait. Those that the collector does not take are given up."""
        while self._send is not None and self._waiting:
            spans = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_SENT))]
            taken = await asyncio.to_thread(self._send, spans)
            self._metrics.spans.add(("sent" if taken else "refused",), len(spans))
            if self._refused == taken:
                self._refused = not taken
                if taken:
                    log.info("the collector takes spans again")
                else:
                    log.warning("the collector does not take spans; they are given up until it does")


def _ended(code: Code, provider_id: str) -> dict[str, str | int]:
    return {"hairtrigger.outcome": str(code), "hairtrigger.provider": provider_id}


def _about(event: Event) -> dict[str, str | int]:
    return {
        "hairtrigger.event.id": str(event.id),
        "hairtrigger.project.id": event.project_id,
        "hairtrigger.project_trigger.id": str(event.project_trigger_id),
    }
