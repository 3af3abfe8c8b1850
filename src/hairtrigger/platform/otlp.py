"""Send spans to an OpenTelemetry collector, by OTLP over HTTP.

The library comes with the extra `traces`, and is loaded only if traces are on. It reads the standard variables:
`OTEL_EXPORTER_OTLP_ENDPOINT` with its headers, time-out and certificates, `OTEL_SERVICE_NAME` and
`OTEL_RESOURCE_ATTRIBUTES`.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from hairtrigger.domain.errors import HairtriggerError
from hairtrigger.domain.trace import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext

_SERVICE = "hairtrigger"
_LIBRARY = "opentelemetry.exporter"  # logs each failure with its traceback


class Collector:
    """Sends spans to a collector. `send` blocks, so it belongs in a thread.

    Raises `HairtriggerError` if the library is not installed.
    """

    def __init__(self, version: str, role: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415
        except ImportError as error:
            raise HairtriggerError(
                "Traces need the extra `traces`, which is not installed: pip install 'hairtrigger[traces]'"
            ) from error
        logging.getLogger(_LIBRARY).setLevel(logging.CRITICAL)  # each change is logged in services/tracing
        given = Resource.create({"service.version": version, "hairtrigger.role": role})
        named = str(given.attributes.get("service.name", "")).startswith("unknown_service")
        self._resource = given.merge(Resource({"service.name": _SERVICE})) if named else given
        self._scope = InstrumentationScope(_SERVICE, version)
        self._exporter: SpanExporter = OTLPSpanExporter()

    def send(self, spans: Sequence[Span]) -> bool:
        """Send the spans, and return whether the collector took them."""
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

        return self._exporter.export([self._made(span) for span in spans]) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Give up a call that is under way, with its retries."""
        self._exporter.shutdown()

    def _made(self, span: Span) -> "ReadableSpan":
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id, span.state, remote=False),
            parent=_context(span.trace_id, span.parent_id, span.state, remote=True) if span.parent_id else None,
            resource=self._resource,
            attributes=span.attributes,
            kind=SpanKind[span.kind.upper()],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(span.end),
            instrumentation_scope=self._scope,
        )


@contextmanager
def collecting(version: str, role: str, *, on: bool) -> Iterator[Collector | None]:
    """Yield a collector, which is closed at the end of the block, or yield None if traces are not `on`.

    Raises `HairtriggerError` if they are on, but the library is not installed.
    """
    if not on:
        yield None
        return
    collector = Collector(version, role)
    try:
        yield collector
    finally:
        collector.close()


def _context(trace_id: str, span_id: str, state: str, *, remote: bool) -> "SpanContext":
    from opentelemetry.trace import SpanContext, TraceFlags, TraceState  # noqa: PLC0415

    return SpanContext(
        int(trace_id, 16), int(span_id, 16), remote, TraceFlags(TraceFlags.SAMPLED), TraceState.from_header([state])
    )


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
