"""The reason of a silence is a value: what was recorded decides it, and its sentence follows from it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import get_args

import pytest

from hairtrigger.domain.outcome import ASKED_TO_WAIT, Code, Kind
from hairtrigger.services.explain.outages import Outage
from hairtrigger.services.explain.silence import (
    CutOff,
    Disabled,
    Down,
    Gap,
    LateAfterFailure,
    LeftAlone,
    NoLongerKept,
    NoRequest,
    NotDue,
    NotFired,
    NothingFromApp,
    NothingHeard,
    NothingTold,
    NotPolled,
    NotYetCreated,
    Polled,
    PutOff,
    Reason,
    Silence,
    StillToCome,
)
from hairtrigger.store.events.outcomes import Outcome
from tests.services.explain.test_sentences import CONDITION, MINUTE, NOON, TELLER
from tests.services.world import seconds

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SCHEDULED = replace(CONDITION, kind="schedule")
LISTENS = replace(CONDITION, kind="listen", connected_at=NOON - HOUR)
WEBHOOK = replace(CONDITION, kind=None, next_at=None)
OF_APP = replace(WEBHOOK, of_app=True)


def poll(code: Code, ago: timedelta) -> Outcome:
    return Outcome(Kind.POLL, code, NOON - ago)


def off(ago: timedelta) -> Outcome:
    return Outcome(Kind.TRIGGER, Code.DISABLED, NOON - ago, detail="By its owner.")


def on(ago: timedelta) -> Outcome:
    return Outcome(Kind.TRIGGER, Code.ENABLED, NOON - ago)


ENDED = NOON - MINUTE * 5
QUIET = Silence(CONDITION, NOON - MINUTE * 15, ENDED, (), (), (), (), None)
EMPTY, FAILED, CUT, LIMITED, LATER = (
    poll(Code.EMPTY, MINUTE * 16),
    poll(Code.FAILED, MINUTE * 40),
    poll(Code.CUT_OFF, MINUTE * 40),
    poll(Code.RATE_LIMITED, HOUR * 20),
    poll(Code.EMPTY, MINUTE * 4),
)
ASKED_US = replace(poll(Code.EMPTY, MINUTE * 40), detail=f"{ASKED_TO_WAIT}13:00:00 UTC.")
OVER, FULL = poll(Code.OVER_QUOTA, HOUR * 8), poll(Code.DISK_FULL, MINUTE * 40)
FIRED = Outcome(Kind.SCHEDULE, Code.ACCEPTED, NOON - HOUR)
HEARS = Outcome(Kind.LISTEN, Code.LISTENING, NOON - HOUR)
ASKED = Outcome(Kind.WEBHOOK, Code.EMPTY, NOON - HOUR)
REFUSED = [Outcome(Kind.WEBHOOK, Code.REJECTED, ENDED, count=count) for count in (2, 3)]


def after(*earlier: Outcome, later: Sequence[Outcome] = (), **more: object) -> Silence:
    return replace(QUIET, earlier=earlier, later=later, **more)  # type: ignore[arg-type]


OUTAGE = Outage(NOON - MINUTE * 14, NOON - MINUTE * 12, "start", whole=True)

CASES: list[tuple[Silence, Reason]] = [
    (replace(QUIET, since=NOON + MINUTE, until=NOON + HOUR), StillToCome()),
    (replace(QUIET, condition=replace(CONDITION, created_at=ENDED)), NotYetCreated(ENDED)),
    (replace(QUIET, kept_since=date(2026, 5, 5)), NoLongerKept(date(2026, 5, 5))),
    (after(off(HOUR)), Disabled(NOON - HOUR, None, "By its owner.", ever_enabled=True)),
    (after(off(HOUR), later=[on(MINUTE)]), Disabled(NOON - HOUR, NOON - MINUTE, "By its owner.", ever_enabled=True)),
    (
        replace(QUIET, condition=replace(CONDITION, enabled=False, enabled_at=None)),
        Disabled(None, None, "", ever_enabled=False),
    ),
    (replace(QUIET, within=[EMPTY, LATER]), Polled(LATER, 2)),
    (after(FAILED), LateAfterFailure(Gap(FAILED.at, polled_before=True, next_poll=None), FAILED)),
    (
        after(LIMITED, later=[LATER]),
        LateAfterFailure(Gap(LIMITED.at, polled_before=True, next_poll=LATER.at), LIMITED),
    ),
    (after(ASKED_US), LeftAlone(Gap(ASKED_US.at, polled_before=True, next_poll=None), ASKED_US)),
    (after(OVER), PutOff(Gap(OVER.at, polled_before=True, next_poll=None), OVER)),
    (
        after(FULL, later=[LATER], outages=[]),
        PutOff(Gap(FULL.at, polled_before=True, next_poll=LATER.at), FULL),
    ),
    (after(CUT), CutOff(Gap(CUT.at, polled_before=True, next_poll=None), CUT)),
    (
        after(EMPTY, condition=replace(CONDITION, every_seconds=3600)),
        NotDue(Gap(EMPTY.at, polled_before=True, next_poll=None), HOUR),
    ),
    (
        after(EMPTY, later=[LATER]),
        NotPolled(Gap(EMPTY.at, polled_before=True, next_poll=LATER.at), MINUTE, connected=False),
    ),
    (
        replace(QUIET, condition=replace(CONDITION, connected=True)),
        NotPolled(Gap(NOON - DAY, polled_before=False, next_poll=None), MINUTE, connected=True),
    ),
    (
        after(EMPTY, later=[LATER], outages=[OUTAGE]),
        Down(Gap(EMPTY.at, polled_before=True, next_poll=LATER.at), MINUTE, OUTAGE),
    ),
    (after(FIRED, condition=SCHEDULED), NotFired(FIRED, None)),
    (after(HEARS, condition=LISTENS), NothingHeard(HEARS, NOON - HOUR)),
    (
        after(replace(HEARS, code=Code.FAILED), condition=LISTENS),
        NothingHeard(replace(HEARS, code=Code.FAILED), NOON - HOUR),
    ),
    (after(ASKED, condition=WEBHOOK), NoRequest(ASKED)),
    (after(condition=OF_APP, refused_by_app=REFUSED), NothingFromApp(5, REFUSED[0])),
    (after(condition=OF_APP), NothingFromApp(0, None)),
    (after(condition=replace(WEBHOOK, provider_id="hairtrigger")), NothingTold()),
]


@pytest.mark.parametrize(("silence", "reason"), CASES, ids=lambda one: type(one).__name__)
def test_the_records_decide_the_reason(silence: Silence, reason: Reason) -> None:
    assert silence.reason(NOON) == reason


def test_each_reason_is_shown_above_and_has_a_sentence_of_its_own() -> None:
    said = {type(reason): TELLER.silence(silence) for silence, reason in CASES}
    assert set(said) == set(get_args(Reason))
    assert len(set(said.values())) == len(said)


def test_an_outage_in_which_no_poll_was_due_explains_nothing() -> None:
    hourly = after(EMPTY, condition=replace(CONDITION, every_seconds=3600), outages=[OUTAGE])
    assert isinstance(hourly.reason(NOON), NotDue)
    assert "The service was down from 11:46:00 UTC until 11:48:00 UTC." in TELLER.silence(hourly)


def test_a_poll_missing_for_seconds_is_explained_by_an_outage_of_seconds() -> None:
    """Up to two minutes after its due time, a poll may only be late."""
    before = poll(Code.EMPTY, seconds(20))
    outage = Outage(NOON - seconds(18), NOON - seconds(3), "start", whole=True)
    silence = Silence(
        replace(CONDITION, every_seconds=3),
        NOON - seconds(15),
        NOON - seconds(10),
        (),
        [before],
        (),
        (),
        None,
        [outage],
    )
    assert TELLER.silence(silence).startswith(
        "Nothing arrived between 11:59:45 UTC and 11:59:50 UTC. The trigger was enabled; no poll ran, although it is "
        "polled every 3 seconds: the service was down from 11:59:42 UTC until 11:59:57 UTC. "
        "The last poll before was at 11:59:40 UTC, and none has come since."
    )


def test_a_silence_while_the_service_ran_is_not_called_an_outage() -> None:
    assert "The service ran, but its workers did not keep up" in TELLER.silence(after(EMPTY, later=[LATER], outages=[]))


def test_every_kind_of_silence_tells_the_outages_of_that_time() -> None:
    for condition in (CONDITION, SCHEDULED, WEBHOOK, OF_APP):
        said = TELLER.silence(after(condition=condition, outages=[OUTAGE]))
        assert "he service was down from 11:46:00 UTC until 11:48:00 UTC." in said


def test_a_failed_poll_explains_no_longer_silence_than_the_longest_back_off() -> None:
    failed = poll(Code.FAILED, HOUR * 2)
    assert after(failed).reason(NOON) == NotPolled(
        Gap(failed.at, polled_before=True, next_poll=None), MINUTE, connected=False
    )
