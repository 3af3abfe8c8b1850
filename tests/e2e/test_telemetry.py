"""Metrics and traces of two processes on one database: one takes requests, and the other delivers."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.process import Client, Service
from tests.e2e.test_roles import Fleet, a_fleet, webhook
from tests.support.collector import attributes, collecting
from tests.support.servers import answering, serving
from tests.support.waiting import PATIENCE, until, until_true

pytestmark = pytest.mark.anyio

TOKEN = "a token for prometheus"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with a_fleet() as made:
        yield made


async def read(service: Service) -> dict[tuple[str, ...], float]:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        assert (await http.get(f"{service.url}/metrics")).status_code == 401
        answer = await http.get(f"{service.url}/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_each_process_tells_its_own_work_and_both_record_one_trace(fleet: Fleet) -> None:
    async with collecting() as collector, serving(answering()) as target:
        more = {"metrics_token": TOKEN, "traces": "true"}
        fleet.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        api, worker = await fleet.start("api", "api", **more), await fleet.start("worker", "worker", **more)
        client = Client(api, api.api_key)
        path, headers = await webhook(client, target)
        headers |= {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
        await client.ask("POST", path, {}, headers=headers)
        await until_true(lambda: len(collector.named("attempt")) == 1 and len(collector.named("webhook")) == 1)

        async def told() -> dict[tuple[str, ...], float] | None:
            samples = await read(worker)
            return samples if samples["hairtrigger_deliveries_total", "delivered"] == 1 else None

        of_worker, of_api = await until(told), await read(api)
        await client.close()

    spans = {span.name: span for span in collector.spans if span.trace_id.hex() == TRACE}
    assert spans.keys() == {"webhook", "event", "claim", "attempt"}
    assert spans["webhook"].parent_span_id.hex() == SPAN
    assert spans["attempt"].parent_span_id == spans["event"].span_id
    assert {one["hairtrigger.role"] for one in collector.resources} == {"api", "worker"}
    [seen] = target.seen
    assert seen.header("traceparent") == f"00-{TRACE}-{spans['attempt'].span_id.hex()}-01"
    assert seen.header("tracestate") == "vendor=1"
    assert attributes(spans["event"])["hairtrigger.event.id"] == seen.header("webhook-id")

    assert of_api["hairtrigger_requests_total", "accepted", "webhook"] == 1
    assert ("hairtrigger_requests_total", "accepted", "webhook") not in of_worker
    assert of_worker["hairtrigger_attempts_total", "", "delivered"] == 1
    assert of_api["hairtrigger_attempts_total", "", "delivered"] == 0
    for samples in (of_api, of_worker):
        assert samples["hairtrigger_shared_processes", "worker"] == 1
        assert samples["process_cpu_seconds_total",] > 0
    assert of_worker["hairtrigger_loop_lag_seconds_count",] > 0
