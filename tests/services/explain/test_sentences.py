"""Every code of the closed lists has a sentence, so that a new code without one is noticed."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import get_args
from uuid import uuid4

import pytest

from hairtrigger.domain.outcome import DELIVERY_STATUS, FAILURE, Code, DeliveryStatus, Failure, Kind
from hairtrigger.services.explain.health import STALLS, Health
from hairtrigger.services.explain.sentences import Story, Teller, outcome_step
from hairtrigger.services.explain.silence import Silence
from hairtrigger.store.delivery.history import AttemptRecord, Delivery
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain.event_traces import EventTrace
from hairtrigger.store.explain.trigger_health import Condition, Stall

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TELLER = Teller(NOON)
EVENT = EventTrace(uuid4(), uuid4(), "order 7", "shop.order", None, NOON - MINUTE, NOON - MINUTE)
CONDITION = Condition(
    id=EVENT.project_trigger_id,
    org_id=uuid4(),
    project_id="proj",
    provider_id="shop",
    trigger_id="on_order",
    connected=False,
    of_app=False,
    enabled=True,
    enabled_at=NOON - timedelta(days=1),
    created_at=NOON - timedelta(days=1),
    updated_at=NOON - timedelta(days=1),
    kind="poll",
    next_at=NOON + MINUTE,
    every_seconds=60,
    leased_until=None,
    last_at=NOON,
    failures=0,
    stall=None,
    status="healthy",
)


def delivery(status: DeliveryStatus) -> Delivery:
    return Delivery(
        id=EVENT.id,
        event_id=EVENT.id,
        org_id=CONDITION.org_id,
        project_id="proj",
        project_trigger_id=CONDITION.id,
        event_type=EVENT.type,
        replay_of=None,
        created_at=EVENT.received_at,
        status=status,
        attempts=1,
        next_attempt_at=NOON + MINUTE,
        detail="Because.",
    )


def attempt(failure: Failure | None) -> AttemptRecord:
    status = "failed" if failure else "delivered"
    return AttemptRecord(uuid4(), 1, status, failure, None, "Because.", b"", None, NOON, NOON)


def test_every_code_has_its_words() -> None:
    assert (set(DELIVERY_STATUS), set(FAILURE)) == (set(get_args(DeliveryStatus)), set(Failure))
    assert set(STALLS) == set(get_args(Stall))
    words = [*(code.meaning for code in Code), *DELIVERY_STATUS.values(), *FAILURE.values()]
    assert all(words)
    assert len(set(words)) == len(words), "two codes can't be told apart"


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("kind", Kind)
def test_every_outcome_is_told_as_a_sentence_with_its_time(kind: Kind, code: Code) -> None:
    one = Outcome(kind, code, NOON, detail="More about it.", events=2)
    said = TELLER.outcome(one)
    assert "12:00:00 UTC" in said
    assert said.endswith(".")
    assert outcome_step(one).detail.startswith("The ")
    assert TELLER.state(CONDITION, Health("healthy", "", None, None, None), [one], None)


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("kind", ["poll", "schedule", None])
def test_a_silence_after_any_outcome_has_a_reason(code: Code, kind: str | None) -> None:
    before = Outcome(Kind.POLL if kind == "poll" else Kind.WEBHOOK, code, NOON - timedelta(hours=1))
    condition = replace(CONDITION, kind=kind)  # type: ignore[arg-type]
    silence = Silence(condition, NOON - MINUTE, NOON + MINUTE, (), (before,), (), (), None)
    said = TELLER.silence(silence)
    assert said.startswith("Nothing arrived between 11:59:00 UTC and 12:01:00 UTC. The trigger was ")


@pytest.mark.parametrize("failure", [None, *Failure])
@pytest.mark.parametrize("status", get_args(DeliveryStatus))
def test_every_status_of_a_delivery_is_told_after_any_attempt(status: DeliveryStatus, failure: Failure | None) -> None:
    story = Story(EVENT, "poll", [(delivery(status), [attempt(failure)])], ())
    said = TELLER.story(story)
    assert said.startswith("The event with the key 'order 7' arrived at 11:59:00 UTC with a poll. ")
    assert len(said.split(". ")) > 1
    assert [step.what for step in story.steps()] == ["event", "attempt"]


def test_a_time_of_another_day_is_told_with_its_date() -> None:
    assert TELLER.time(NOON - timedelta(days=1)) == "2026-05-03 12:00:00 UTC"


def test_nothing_is_claimed_about_a_time_before_the_stored_days() -> None:
    old = replace(CONDITION, created_at=NOON - timedelta(days=90))
    long_ago = NOON - timedelta(days=40)
    silence = Silence(old, long_ago - MINUTE, long_ago, (), (), (), (), date(2026, 4, 4))
    assert TELLER.silence(silence) == "Of that time nothing is kept any more: what is stored begins on 2026-04-04."
