"""An OpenTelemetry collector: it reads what it gets with the protocol's own package, and keeps the spans."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.servers import Seen, response, serving


@dataclass
class Collector:
    url: str = ""
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    async def answer(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        assert (seen.path, seen.header("content-type")) == ("/v1/traces", "application/x-protobuf")
        if self.status == 200:
            for part in ExportTraceServiceRequest.FromString(seen.body).resource_spans:
                self.resources.append({one.key: one.value.string_value for one in part.resource.attributes})
                self.spans.extend(span for scope in part.scope_spans for span in scope.spans)
        writer.write(response(self.status, ExportTraceServiceResponse().SerializeToString()))


def attributes(span: Span) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    async with serving(collector.answer) as server:
        collector.url = server.url
        yield collector
