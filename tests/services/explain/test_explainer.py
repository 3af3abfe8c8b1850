"""Explanations of why a trigger did or did not fire, for whole stories from beginning to end."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from hairtrigger.domain.caller import SCOPES, Caller
from hairtrigger.domain.errors import NotFound, NotReady, ProviderFailed
from hairtrigger.domain.outcome import Code, Failure, Kind
from hairtrigger.domain.retry import DELAYS
from hairtrigger.domain.rhythm import next_beat
from hairtrigger.domain.target import Sent
from hairtrigger.kit.cursor import mark
from hairtrigger.kit.trigger import Page
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import github, schedule, webhook
from hairtrigger.services.delivery.interventions import Interventions
from hairtrigger.services.delivery.pauses import Pauses
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries
from hairtrigger.store.setup import triggers
from tests.services.polling.test_poller import Source, page
from tests.services.scene import DELIVERED, Scene, a_scene
from tests.services.world import Killed, dying
from tests.store import claims
from tests.store.build import a_trigger
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

NATIVE = (schedule.provider, webhook.provider, github.provider)
FAILED = Sent("failed", 503, "The target answered 503 Service Unavailable.", failure=Failure.STATUS)


@pytest.fixture
def source(clock: ManualClock) -> Source:
    return Source(clock)


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault, source: Source) -> AsyncIterator[Scene]:
    """Start the scene at noon, so that no story passes midnight."""
    clock.advance(clock.now().replace(hour=12, minute=0, second=0) - clock.now())
    async with a_scene(store, clock, vault, source.provider(), *NATIVE) as scene:
        yield scene


# -- requests


async def test_a_request_with_a_wrong_secret(scene: Scene) -> None:
    id_, _ = await scene.webhook()
    for _ in range(3):
        scene.passes(minutes=5)
        await scene.request(id_, "wrong", "a")
    told = await scene.why(id_, at=scene.clock.now(), within=timedelta(minutes=1))
    assert told.summary == (
        "The request at 12:15:00 UTC was refused: its signature or token is missing or wrong. "
        "The token in X-Webhook-Secret is not the right one. 3 such requests came in the hour until then."
    )
    assert [(step.what, step.code) for step in told.steps] == [("webhook", "rejected")]


async def test_a_request_that_became_an_event_and_was_delivered(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    scene.passes(minutes=1)
    await scene.request(id_, secret, "order 7")
    scene.passes(seconds=2)
    await scene.deliver()
    said = (
        "The event with the key 'order 7' arrived at 12:01:00 UTC as a request. "
        "It was delivered at 12:01:02 UTC, at the first attempt."
    )
    [event] = await scene.world.events(id_)
    for question in ({"key": "order 7"}, {"event": event.id}, {"delivery": event.id}, {"at": scene.clock.now()}):
        told = await scene.why(id_, **question)
        assert told.summary == said, question
        assert [(step.what, step.code) for step in told.steps if step.event_id] == [
            ("event", "accepted"),
            ("attempt", "delivered"),
        ]


async def test_a_request_that_was_a_repeat(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await scene.request(id_, secret, "order 7")
    await scene.deliver()
    scene.passes(minutes=10)
    await scene.request(id_, secret, "order 7")
    original = (
        "The event with the key 'order 7' arrived at 12:00:00 UTC as a request. "
        "It was delivered at 12:00:00 UTC, at the first attempt. "
        "A repeat of it came at 12:10:00 UTC and started nothing: its key is known."
    )
    assert await scene.summary(id_, key="order 7") == original
    (event,) = await scene.world.events(id_)
    assert await scene.summary(id_, at=scene.clock.now()) == (
        "The request at 12:10:00 UTC brought only what was already stored. "
        f"A repeat of an event that is already stored: {event.id}. "
        f"A request with the same id (/id) counts as a repeat and starts nothing (repeats: never). {original}"
    )


async def test_a_request_to_a_trigger_that_was_disabled_and_is_enabled_again(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    world = scene.world
    scene.passes(minutes=10)
    await world.triggers.disable(world.caller, id_)
    scene.passes(minutes=10)
    await scene.request(id_, secret, "lost")
    asked = scene.clock.now()
    scene.passes(minutes=10)
    await world.triggers.enable(world.caller, id_)
    scene.passes(minutes=10)

    assert await scene.summary(id_, at=asked) == (
        "The request at 12:20:00 UTC was ignored, because the trigger was disabled. "
        "It was off from 12:10:00 UTC until 12:30:00 UTC."
    )
    assert await scene.summary(id_, at=asked - timedelta(minutes=5), within=timedelta(minutes=1)) == (
        "Nothing arrived between 12:14:00 UTC and 12:16:00 UTC. The trigger was disabled. "
        "It was off from 12:10:00 UTC until 12:30:00 UTC."
    )
    assert await scene.summary(id_, at=scene.clock.now() - timedelta(minutes=2), within=timedelta(minutes=1)) == (
        "Nothing arrived between 12:37:00 UTC and 12:39:00 UTC. "
        "The trigger was enabled, and no request reached its address. "
        "Before that: The request at 12:20:00 UTC was ignored, because the trigger was disabled."
    )


async def test_a_flood_of_refused_requests_is_ten_rows_and_a_count(scene: Scene) -> None:
    id_, _ = await scene.webhook()
    for _ in range(500):
        await scene.request(id_, "wrong")
        await scene.request(uuid4(), "anything")
    await scene.refusals.flush()
    told = await scene.why(id_, at=scene.clock.now())
    refused = [step for step in told.steps if step.code == "rejected"]
    assert (len(refused), sum(step.count for step in refused)) == (11, 500)
    assert "500 such requests" in told.summary


async def test_an_app_whose_requests_are_refused(scene: Scene) -> None:
    world = scene.world
    async with world.store.transaction() as tx:
        trigger = await a_trigger(
            tx, world.caller.org_id, world.project_id, scene.clock.now(), provider_id="github", trigger_id="on_push"
        )
        await triggers.route(tx, trigger, ["installation:1"])
    scene.passes(minutes=10)
    for _ in range(2):
        await scene.request("github", "wrong")
    assert await scene.summary(trigger.id, at=scene.clock.now(), within=timedelta(minutes=1)) == (
        "Nothing arrived between 12:09:00 UTC and 12:11:00 UTC. The trigger was enabled, and its app brought nothing "
        "for it. 2 of the app's requests were refused then. The request at 12:10:00 UTC was refused: its signature or "
        "token is missing or wrong. github: The header X-Hub-Signature-256 is missing."
    )


# -- polls


async def test_a_poll_that_found_nothing_new(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    for _ in range(4):
        await scene.poll()
        scene.passes(minutes=1)
    told = await scene.summary(id_, at=scene.clock.now() - timedelta(minutes=1), within=timedelta(seconds=30))
    last = scene.time(minutes=1)
    following = next_beat(id_, timedelta(minutes=1), scene.clock.now() - timedelta(minutes=1))
    assert told.startswith("Nothing arrived between ")
    assert told.endswith(
        f"The trigger was enabled; its last poll, at {last}, found nothing new. "
        f"The next poll was due at {following:%H:%M:%S} UTC."
    )


async def test_a_poll_that_fails_and_backs_off(scene: Scene, source: Source) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    source.says(ProviderFailed("The provider answered 500."))
    await scene.poll()
    began = scene.time()
    scene.passes(minutes=2)
    await scene.poll()
    told = await scene.why(id_)
    assert told.health.status == "failing"
    assert told.summary.startswith(
        f"The trigger is failing since {began}. The last 2 polls failed. The provider answered 500."
    )
    assert told.summary.endswith(f"The next poll is due at {scene.time(minutes=-2)}.")
    assert (await scene.summary(id_, at=scene.clock.now())).startswith(
        f"The poll at {scene.time()} failed. The provider answered 500. The next poll is due at "
    )


async def test_a_time_between_two_polls(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item", {"polling_frequency": 3600})
    await scene.poll()
    first = scene.time()
    scene.passes(hours=1)
    await scene.poll()
    asked = scene.clock.now() - timedelta(minutes=30)
    assert f"no poll was due, as it is polled every 1 hour: the last poll before was at {first}, the next at" in (
        await scene.summary(id_, at=asked)
    )


async def test_a_time_in_which_the_service_was_down(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    await scene.poll()
    stopped = scene.time()
    scene.passes(hours=2)
    await scene.poll()
    told = await scene.summary(id_, at=scene.clock.now() - timedelta(hours=1))
    assert (
        f"The trigger was enabled; no poll ran, although it is polled every 1 minute: the last poll before was at "
        f"{stopped}, the next at {scene.time()}. The service was down, or its workers did not keep up."
    ) in told


async def test_a_time_in_which_a_failed_poll_was_left_alone(scene: Scene, source: Source) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    source.says(ProviderFailed("The provider answered 500."))
    for minutes in (0, 1, 2, 4, 8, 16):
        scene.passes(minutes=minutes)
        await scene.poll()
    failed = scene.time()
    told = await scene.summary(id_, at=scene.clock.now() + timedelta(minutes=10), within=timedelta(minutes=5))
    assert told.startswith("That is still to come. ")
    scene.passes(minutes=20)
    told = await scene.summary(id_, at=scene.clock.now() - timedelta(minutes=10), within=timedelta(minutes=5))
    assert "The service was down" not in told
    assert f"no poll was due, as it waits longer after a failure: the last poll before was at {failed}" in told
    assert f"The poll at {failed} failed. The provider answered 500. The next poll is due at " in told


async def test_a_poll_whose_process_died(scene: Scene, source: Source) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    [claimed] = (await scene.world.poller.claim(10)).mine
    with pytest.raises(Killed):
        await scene.world.poller_on(dying(scene.world.store, at=1)).run(claimed)
    began = scene.time()
    assert await scene.world.codes(id_, Kind.POLL) == []
    scene.passes(minutes=2)
    noticed = scene.clock.now()
    await scene.poll()
    told = await scene.summary(id_, at=scene.clock.now() - timedelta(minutes=2), within=timedelta(seconds=30))
    assert told.startswith(
        f"The poll at {began} was cut off: the process that ran it stopped, died, stood still or lost its database. "
        f"That was noticed at {noticed:%Y-%m-%d %H:%M:%S} UTC, and the trigger is polled again."
    )
    assert await scene.world.codes(id_, Kind.POLL) == [Code.CUT_OFF, Code.EMPTY]
    scene.passes(minutes=2)
    await scene.poll()
    assert await scene.world.codes(id_, Kind.POLL) == [Code.CUT_OFF, Code.EMPTY, Code.EMPTY]


async def test_a_time_after_the_death_of_the_process_that_polled(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    await scene.world.poller.claim(10)
    began = scene.time()
    scene.passes(hours=2)
    await scene.poll()
    told = await scene.summary(id_, at=scene.clock.now() - timedelta(hours=1))
    assert (
        f"no poll ran: the last poll before was at {began}, the next at {scene.time()}. "
        f"The poll at {began} was cut off: the process that ran it stopped, died, stood still or lost its database."
    ) in told


async def test_a_poll_whose_process_died_when_somebody_polls_by_hand(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    await scene.world.poller.claim(10)
    scene.passes(minutes=2)
    await scene.world.poller.poll_now(scene.world.caller, id_)
    assert await scene.world.codes(id_, Kind.POLL) == [Code.CUT_OFF, Code.EMPTY]


async def test_a_poll_that_is_given_back_says_so_once(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    claimed = (await scene.world.poller.claim(10)).mine
    scene.passes(seconds=1)
    for _ in range(2):
        await scene.world.poller.leases.give_back(claimed)
    assert "It was given back unfinished, and the trigger is polled again at once." in await scene.summary(id_)
    scene.passes(minutes=2)
    await scene.poll()
    assert await scene.world.codes(id_, Kind.POLL) == [Code.CUT_OFF, Code.EMPTY]


async def test_a_trigger_that_fails_goes_on_failing_when_a_process_dies(scene: Scene, source: Source) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    source.says(ProviderFailed("The provider answered 500."))
    await scene.poll()
    began = scene.time()
    scene.passes(minutes=2)
    await scene.world.poller.claim(10)
    scene.passes(minutes=2)
    assert (await scene.world.poller.claim(10)).mine
    assert (await scene.summary(id_)).startswith(
        f"The trigger is failing since {began}. The last poll failed. The provider answered 500."
    )


# -- schedules


async def test_a_schedule_whose_time_was_missed(scene: Scene) -> None:
    id_ = await scene.world.enabled("schedule", "on_schedule", {"interval": "1h", "missed": "skip"})
    scene.passes(hours=1, minutes=20)
    await scene.world.schedules.run_due()
    assert await scene.summary(id_, at=scene.clock.now()) == (
        "The schedule at 13:20:00 UTC did not fire: its time was missed, and its policy is to skip. Its times from "
        f"{scene.clock.now():%Y-%m-%d} 13:00:00 UTC on passed while no process fired them. "
        "The next firing is due at 14:00:00 UTC."
    )


async def test_a_schedule_that_had_no_time_then(scene: Scene) -> None:
    id_ = await scene.world.enabled("schedule", "on_schedule", {"interval": "1h"})
    scene.passes(hours=1)
    await scene.world.schedules.run_due()
    scene.passes(minutes=30)
    assert await scene.summary(id_, at=scene.clock.now()) == (
        "Nothing arrived between 13:25:00 UTC and 13:35:00 UTC. The trigger was enabled; its schedule did not fire "
        "then: the last firing before was at 13:00:00 UTC. The next firing is due at 14:00:00 UTC."
    )


async def test_a_time_of_a_schedule_that_was_skipped_for_a_later_one(scene: Scene) -> None:
    id_ = await scene.world.enabled("schedule", "on_schedule", {"interval": "1h", "missed": "latest"})
    scene.passes(hours=4)
    await scene.world.schedules.run_due()
    day = format(scene.clock.now(), "%Y-%m-%d")
    assert await scene.summary(id_, at=scene.clock.now() - timedelta(hours=2)) == (
        "Nothing arrived between 13:55:00 UTC and 14:05:00 UTC. The trigger was enabled; its schedule did not fire "
        "then: the next at 16:00:00 UTC. The schedule at 16:00:00 UTC brought one new event. "
        f"Its times from {day} 13:00:00 UTC on passed while no process fired them. Its policy does not make them up. "
        "The next firing is due at 17:00:00 UTC."
    )


# -- deliveries


async def test_a_delivery_that_is_tried_again(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    scene.answers = [FAILED]
    await scene.request(id_, secret, "order 7")
    await scene.deliver()
    scene.passes(seconds=5)
    await scene.deliver()
    assert await scene.summary(id_, key="order 7") == (
        "The event with the key 'order 7' arrived at 12:00:00 UTC as a request. "
        "2 attempts failed, the last at 12:00:05 UTC: "
        "The target answered 503 Service Unavailable. Attempt 3 is due at 12:05:05 UTC."
    )


async def test_a_dead_letter_and_its_replay(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    scene.answers = [FAILED]
    await scene.request(id_, secret, "order 7")
    for delay in DELAYS:
        scene.passes(seconds=delay.total_seconds())
        await scene.deliver()
    [event] = await scene.world.events(id_)
    told = await scene.why(id_, event=event.id)
    assert told.summary.endswith(
        "It is a dead letter: nothing more is tried until it is replayed. All 10 attempts failed: "
        f"The target answered 503 Service Unavailable. To try again: POST /v1/events/{event.id}/replay"
    )
    assert [step.code for step in told.steps if step.what == "attempt"] == ["status"] * 10
    scene.answers = [DELIVERED]
    replayed = await Interventions(store=scene.world.store, clock=scene.clock, work=scene.world.poller.work).replay(
        scene.world.caller, event.id
    )
    await scene.deliver()
    told = await scene.why(id_, delivery=replayed)
    assert "It was replayed once, the last time at " in told.summary
    assert told.summary.endswith("at the first attempt.")


async def test_a_delivery_that_no_worker_takes(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await scene.request(id_, secret, "order 7")
    scene.passes(minutes=5)
    assert await scene.summary(id_, key="order 7") == (
        "The event with the key 'order 7' arrived at 12:00:00 UTC as a request. It is on the queue, or under way. "
        "No worker has claimed it for 5 minutes: see whether a worker runs and keeps up."
    )


# -- the health of a trigger, and things that do not exist


async def test_a_trigger_that_no_worker_polls(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    scene.passes(minutes=10)
    told = await scene.why(id_)
    assert told.health.status == "stalled"
    assert told.summary == (
        "The trigger is stalled since 12:00:00 UTC. It is overdue, and no worker has taken it. See whether a worker "
        "runs, and whether it keeps up. No event of it is stored. The next poll was due at 12:00:00 UTC."
    )


async def test_a_trigger_that_was_never_enabled(scene: Scene) -> None:
    id_ = await scene.world.create("source", "on_item")
    scene.passes(minutes=10)
    assert "The trigger is disabled since 12:00:00 UTC. It has never been enabled." in await scene.summary(id_)
    assert (await scene.summary(id_, at=scene.clock.now())).endswith(
        "The trigger was disabled. It has never been enabled."
    )
    assert await scene.summary(id_, at=scene.clock.now() - timedelta(hours=1)) == (
        "The trigger did not exist yet: it was created at 12:00:00 UTC."
    )


async def test_a_time_that_is_still_to_come(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    await scene.poll()
    told = await scene.summary(id_, at=scene.clock.now() + timedelta(hours=1))
    assert told.startswith("That is still to come. The next poll is due at ")


async def test_a_time_of_which_nothing_is_kept(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    found = await scene.world.trigger(id_)
    scene.passes(days=0)
    told = await scene.summary(id_, at=found.created_at - timedelta(days=400))
    assert told.startswith("The trigger did not exist yet")


async def test_a_key_that_never_came(scene: Scene) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    await scene.poll()
    assert (await scene.summary(id_, key="never")).startswith(
        "No event with the key 'never' has arrived, as far back as keys are remembered. The trigger is healthy since "
    )


async def test_what_is_not_ones_own_does_not_exist(scene: Scene) -> None:
    id_, _ = await scene.webhook()
    other, other_secret = await scene.webhook()
    await scene.request(other, other_secret, "theirs")
    [event] = await scene.world.events(other)
    stranger = Caller(uuid4(), uuid4(), frozenset(SCOPES))
    for ask in (
        scene.explainer.state(stranger, id_),
        scene.explainer.moment(stranger, id_, scene.clock.now(), timedelta(minutes=1)),
        scene.explainer.event(stranger, other, event.id),
        scene.explainer.event(scene.world.caller, id_, event.id),
        scene.explainer.event(scene.world.caller, id_, UUID(int=0)),
        scene.explainer.delivery(scene.world.caller, id_, event.id),
        scene.explainer.key(stranger, other, "theirs"),
    ):
        with pytest.raises(NotFound):
            await ask


async def test_items_of_a_poll(scene: Scene, source: Source) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    source.says(page("a", "b", "c"))
    await scene.poll()
    await scene.deliver()
    told = await scene.summary(id_, at=scene.clock.now() + timedelta(seconds=10))
    assert told.startswith("The event with the key 'c' arrived at ")
    assert " with a poll. It was delivered at " in told
    assert " 2 other events arrived between " in told


async def test_more_events_than_are_read_are_not_counted_as_if_they_were_all(scene: Scene, source: Source) -> None:
    id_ = await scene.world.enabled("source", "on_item")
    source.says(page(*map(str, range(101))))
    await scene.poll()
    told = await scene.summary(id_, at=scene.clock.now() + timedelta(seconds=10))
    assert " At least 99 other events arrived between " in told


@pytest.mark.parametrize("failure", [Failure.DNS, Failure.CONNECT, Failure.REFUSED_ADDRESS])
async def test_how_attempts_fail_maps_no_network_for_those_who_do_not_operate_it(
    failure: Failure, scene: Scene
) -> None:
    id_, secret = await scene.webhook()
    scene.answers[:] = [Sent("failed", None, "The address could not be reached.", failure=failure)]
    await scene.request(id_, secret, "only")
    await scene.deliver()

    [attempt] = [step for step in (await scene.why(id_, key="only")).steps if step.what == "attempt"]
    assert attempt.code == "unreachable"
    assert attempt.detail.startswith("Attempt 1 failed, because the target could not be reached.")


# Deliveries that wait


async def claim(scene: Scene) -> list[deliveries.Claimed]:
    _, claimed = await claims.claim(scene.world.store, 100, timedelta(hours=1))
    return claimed


async def change(scene: Scene, statement: str) -> None:
    async with scene.world.store.transaction() as tx:
        await tx.connection.execute(text(statement))


async def test_a_full_lane_is_told_with_its_limit_and_since_when(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await change(scene, "UPDATE lane SET max_inflight = 1")
    await scene.request(id_, secret, "first")
    scene.passes(seconds=1)
    await scene.request(id_, secret, "second")
    await claim(scene)
    await change(scene, "UPDATE pgmq.q_dispatch SET last_read_at = clock_timestamp() - interval '65 seconds'")

    assert (
        "It waits for room: 1 of at most 1 deliveries of its project are under way, the longest for 1 minute."
    ) in await scene.summary(id_, key="second")


async def test_the_delivery_that_goes_before_is_named(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await change(scene, "UPDATE lane SET order_by = 'trigger'")
    await scene.request(id_, secret, "first")
    scene.passes(seconds=1)
    await scene.request(id_, secret, "second")
    first, *_ = await claim(scene)

    assert (
        f"It waits for its turn: the delivery {first.message.delivery_id} goes before it, as its project keeps "
        "deliveries of the same trigger in order."
    ) in await scene.summary(id_, key="second")


async def test_a_pause_of_the_project_is_told_from_one_of_the_trigger(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    pauses = Pauses(store=scene.world.store, clock=scene.clock, work=Wake())
    for which, what, path in (
        (id_, "trigger", f"project-triggers/{id_}"),
        (scene.world.project_id, "project", f"projects/{scene.world.project_id}"),
    ):
        await pauses.pause(scene.world.caller, which)
        since = scene.time()
        scene.passes(minutes=2)
        await scene.request(id_, secret, what)
        await claim(scene)

        assert (
            f"It is held back, because its {what} is paused since {since} by {scene.world.caller.id}. "
            f"To go on: POST /v1/{path}/resume"
        ) in await scene.summary(id_, key=what)
        await pauses.resume(scene.world.caller, which)


async def test_a_target_that_hangs_is_told_from_a_worker_that_is_not_there(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await change(scene, """UPDATE project SET target = '{"kind": "workflow", "timeout_seconds": 300}'""")
    await scene.request(id_, secret, "only")
    scene.passes(minutes=2)
    assert "No worker has claimed it for 2 minutes: see whether a worker runs" in await scene.summary(id_, key="only")

    await claim(scene)
    assert (await scene.summary(id_, key="only")).endswith("It is on the queue, or under way.")
    await change(scene, "UPDATE pgmq.q_dispatch SET last_read_at = clock_timestamp() - interval '61 seconds'")
    said = await scene.summary(id_, key="only")
    assert "A worker claimed it 1 minute ago, and the target has not answered since. It may take 300 seconds." in said


# -- silences


async def test_what_was_there_when_the_trigger_was_enabled(
    store: Store, clock: ManualClock, vault: Vault, source: Source
) -> None:
    clock.advance(clock.now().replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1) - clock.now())
    source.says(page("old", "older", seen=[mark("old")]))
    async with a_scene(store, clock, vault, source.provider(baseline=True)) as scene:
        id_ = await scene.world.enabled("source", "on_item")
        await _counts_as_seen(scene, id_)


async def _counts_as_seen(scene: Scene, id_: UUID) -> None:
    assert await scene.summary(id_, key="old") == (
        "'old' made no event: it was there when the trigger was enabled at 12:00:00 UTC. "
        "What its provider had then counts as seen (2 entries)."
    )
    assert await scene.summary(id_, at=scene.clock.now() - timedelta(hours=1)) == (
        "The trigger did not exist yet: it was created at 12:00:00 UTC."
    )


async def test_a_deleted_trigger_that_requests_still_come_for(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    scene.passes(minutes=1)
    await scene.world.triggers.delete(scene.world.caller, id_)
    for _ in range(3):
        scene.passes(minutes=1)
        await scene.request(id_, secret, "a")
    await scene.refusals.flush()

    told = await scene.explainer.of_deleted(scene.world.caller, id_)

    assert told.summary == (
        f"The trigger was deleted at 12:01:00 UTC. The user {scene.world.caller.id} deleted it. "
        "3 requests have come to its address since then, the last at 12:04:00 UTC."
    )
    with pytest.raises(NotFound):
        await scene.explainer.of_deleted(Caller(uuid4(), uuid4(), frozenset(SCOPES)), id_)


async def test_enabling_without_a_connection(scene: Scene) -> None:
    id_ = await scene.world.create("github", "on_push", {"repository": "a/b"})
    with pytest.raises(NotReady):
        await scene.world.triggers.enable(scene.world.caller, id_)

    assert "Enabling failed: The trigger needs a connection to 'github'." in await scene.summary(id_)


async def test_a_provider_that_asked_to_be_left_alone_in_a_poll_that_did_not_fail(scene: Scene, source: Source) -> None:
    id_ = await scene.world.enabled("source", "on_item")

    async def asking() -> Page:
        source.asked[-1].api.quota.wait = timedelta(minutes=30)
        return page()

    source.says(asking)
    scene.passes(minutes=1)
    await scene.poll()
    polled = scene.time()
    scene.passes(minutes=20)

    told = await scene.summary(id_, at=scene.clock.now() - timedelta(minutes=5), within=timedelta(minutes=1))

    assert "no poll ran, because the provider asked for it" in told
    assert f"the last poll before was at {polled}" in told
    assert "The provider asked to be left alone until" in told


async def test_an_attempt_that_was_cut_off_is_part_of_the_story(scene: Scene) -> None:
    id_, secret = await scene.webhook()
    await scene.request(id_, secret, "a")
    read, [claimed] = await claims.claim(scene.world.store, 10, timedelta())
    assert (read.read, claimed.again) == (1, False)
    scene.passes(seconds=30)

    await scene.deliver()

    said = await scene.summary(id_, key="a")
    assert f"An attempt before {scene.time()} left no result: the process that made it stopped, died" in said
    assert "The target may have run." in said
    assert "It was delivered" in said
