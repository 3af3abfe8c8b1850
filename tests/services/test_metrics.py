"""The metrics of requests, polls, firings and deliveries, as Prometheus reads them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.domain.event import Draft
from hairtrigger.domain.outcome import Failure
from hairtrigger.domain.target import Sent
from hairtrigger.kit.auth import NoAuth
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.metering import Families
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import schedule, webhook
from hairtrigger.services.catalogue import Owned
from hairtrigger.services.metrics import Metrics
from hairtrigger.store.database import Store
from hairtrigger.store.transaction import Transaction
from tests.services.scene import Scene, a_scene
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

THEIRS = UUID("6f8a3a55-3b0e-4f6b-8d8e-3a3f53f0a001")  # the id of a provider that a user defined


@pytest.fixture
def answers() -> list[list[str] | Exception]:
    """The keys of the events that each poll finds, or the error that it ends with."""
    return []


@pytest.fixture
async def scene(
    store: Store, clock: ManualClock, vault: Vault, answers: list[list[str] | Exception]
) -> AsyncIterator[Scene]:
    async def poll(question: Question[Any]) -> Page:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Page([Draft(key, b"{}") for key in answer], {})

    def polled(id_: str) -> Provider:
        trigger = Polling(
            id="on_thing", name="Thing", description="A thing.", config=PollingConfig, poll=poll, baseline=False
        )
        return Provider(id=id_, name="Polled", auth=NoAuth(), triggers=(trigger,))

    async def of_users(_: Transaction, wanted: set[Owned]) -> dict[Owned, Provider]:
        return {one: polled(str(THEIRS)) for one in wanted if one[1] == THEIRS}

    async with a_scene(
        store, clock, vault, webhook.provider, schedule.provider, polled("polled"), user_providers=of_users
    ) as made:
        yield made


def read(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of this name, by the values of their labels in the order of the labels' names."""
    text = generate_latest(Families(metrics.all()).registry()).decode()
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


async def test_requests_are_counted_by_how_they_ended_and_new_events_once(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    for key in ("a", "b", "a"):
        await scene.request(id_, secret, key)
    for _ in range(12):  # of those alike, only the first leave an outcome each
        await scene.request(id_, "another secret")
    await scene.request("019df2d0-1c00-7000-8000-000000000001", secret)
    await scene.request("github", secret)

    metrics = scene.world.metrics
    assert read(metrics, "hairtrigger_requests_total") == {
        ("accepted", "webhook"): 2,
        ("duplicate", "webhook"): 1,
        ("rejected", "webhook"): 12,
        ("unknown_address", "unknown"): 2,
    }
    assert read(metrics, "hairtrigger_events_total") == {("webhook", "webhook"): 2}
    assert read(metrics, "hairtrigger_accept_seconds_count") == {(): 3}


async def test_polls_are_counted_with_their_time_and_all_that_users_define_is_one(
    scene: Scene, answers: list[list[str] | Exception]
) -> None:
    await scene.world.enabled("polled", "on_thing", {"polling_frequency": 60})
    answers += [["a", "b"], ["a"], ProviderFailed("The provider answered 500.")]
    for _ in range(3):
        scene.passes(minutes=10)
        await scene.poll()
    await scene.world.enabled(str(THEIRS), "on_thing", {"polling_frequency": 60})
    answers += [[], ["c"]]
    scene.passes(hours=1)
    await scene.poll()

    metrics = scene.world.metrics
    polls = read(metrics, "hairtrigger_polls_total")
    assert sum(polls.values()) == 5
    assert (polls["duplicate", "polled"], polls["failed", "polled"]) == (1, 1)
    assert {provider for _, provider in polls} == {"polled", "user"}
    assert sum(read(metrics, "hairtrigger_events_total").values()) == 3
    assert sum(read(metrics, "hairtrigger_poll_seconds_count").values()) == 5
    assert read(metrics, "hairtrigger_poll_lag_seconds_count") == {(): 5}


async def test_polls_that_are_given_back_are_cut_off(scene: Scene) -> None:
    await scene.world.enabled("polled", "on_thing", {"polling_frequency": 60})
    scene.passes(minutes=10)
    claims = await scene.world.poller.claim(10)
    await scene.world.poller.leases.give_back(claims.mine)

    assert read(scene.world.metrics, "hairtrigger_polls_total") == {("cut_off", "polled"): 1}
    assert read(scene.world.metrics, "hairtrigger_poll_seconds_count") == {}


async def test_firings_are_counted_with_how_late_they_were(scene: Scene) -> None:
    id_ = await scene.world.enabled("schedule", "on_schedule", {"interval": "1m"})
    due = (await scene.world.clockwork(id_)).next_at
    assert due
    scene.clock.advance(due + timedelta(seconds=20) - scene.clock.now())
    await scene.world.schedules.run_due()
    await scene.world.schedules.fire_now(scene.world.caller, id_)

    metrics = scene.world.metrics
    assert read(metrics, "hairtrigger_firings_total") == {("accepted",): 2}
    assert read(metrics, "hairtrigger_events_total") == {("schedule", "schedule"): 2}
    assert read(metrics, "hairtrigger_schedule_lag_seconds_sum") == {(): 20}
    assert read(metrics, "hairtrigger_schedule_lag_seconds_count") == {(): 1}


async def test_attempts_are_counted_by_their_end_and_deliveries_when_they_are_over(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await scene.request(id_, secret, "a")
    scene.answers = [
        Sent("failed", 503, "The target answered 503.", failure=Failure.STATUS),
        Sent("delivered", 200, "The target answered 200."),
        Sent("gone", 410, "The target answered 410."),
    ]
    scene.passes(seconds=3)
    await scene.deliver()
    metrics = scene.world.metrics
    assert read(metrics, "hairtrigger_deliveries_total") == {("delivered",): 0, ("dead",): 0}
    scene.passes(hours=1)
    await scene.deliver()
    await scene.request(id_, secret, "b")
    await scene.deliver()

    assert read(metrics, "hairtrigger_attempts_total") == {
        ("", "delivered"): 1,
        ("", "gone"): 1,
        ("status", "failed"): 1,
    }
    assert read(metrics, "hairtrigger_deliveries_total") == {("delivered",): 1, ("dead",): 1}
    assert read(metrics, "hairtrigger_first_attempt_seconds_count") == {(): 2}
    assert read(metrics, "hairtrigger_first_attempt_seconds_sum") == {(): 3}


async def test_metrics_that_are_off_count_nothing() -> None:
    metrics = Metrics(on=False)
    metrics.polls_began([timedelta(seconds=1)])
    metrics.delivered(1, 1)

    assert read(metrics, "hairtrigger_poll_lag_seconds_count") == {(): 0}
    assert read(metrics, "hairtrigger_deliveries_total") == {("delivered",): 0, ("dead",): 0}


def test_every_metric_has_a_name_and_a_unit_as_prometheus_asks_for() -> None:
    """https://prometheus.io/docs/practices/naming/: a prefix, base units, and `_total` from the library alone."""
    metrics = Metrics().all()

    assert len({one.name for one in metrics}) == len(metrics)
    for one in metrics:
        assert one.name.startswith("hairtrigger_")
        assert not one.name.endswith(("_total", "_count", "_sum", "_bucket", "_milliseconds", "_percent"))
        assert one.says.endswith(".")
