from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from hairtrigger.domain.schedule import Missed
from hairtrigger.kit.trigger import Scheduled
from tests.providers.asking import NOW, trigger

ON_SCHEDULE: Scheduled[Any] = trigger("schedule", "on_schedule")
ONCE: Scheduled[Any] = trigger("schedule", "on_schedule_once")


def next_after(definition: Scheduled[Any], at: datetime, **config: Any) -> datetime | None:
    return definition.schedule(definition.config.model_validate(config), NOW).next_after(at)


def test_a_time_of_the_calendar_is_read_on_the_clocks_of_its_zone() -> None:
    upcoming = next_after(ON_SCHEDULE, NOW, cron="0 9 * * *", timezone="Asia/Tokyo")

    assert upcoming == datetime(2026, 5, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize("interval", [900, "900", 900.0, "15m"])
def test_an_interval_counts_from_when_it_was_enabled(interval: object) -> None:
    assert next_after(ON_SCHEDULE, NOW + timedelta(minutes=20), interval=interval) == NOW + timedelta(minutes=30)


def test_every_second_monday_at_nine_stays_at_nine_when_clocks_change() -> None:
    config = {
        "rrule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=9",
        "start": "2026-10-12T09:00:00",
        "timezone": "Europe/Berlin",
    }
    first = next_after(ON_SCHEDULE, datetime(2026, 10, 12, tzinfo=UTC), **config)
    assert first == datetime(2026, 10, 12, 7, tzinfo=UTC)
    assert next_after(ON_SCHEDULE, first, **config) == datetime(2026, 10, 26, 8, tzinfo=UTC)


def test_a_one_off_happens_once_and_late_rather_than_never() -> None:
    config = ONCE.config.model_validate({"run_at": "2030-01-01T09:00:00", "timezone": "Europe/Berlin"})

    schedule = ONCE.schedule(config, NOW)

    assert schedule.next_after(NOW) == datetime(2030, 1, 1, 8, tzinfo=UTC)
    assert schedule.next_after(datetime(2030, 1, 1, 8, tzinfo=UTC)) is None
    assert ONCE.missed(config) is Missed.LATEST


@pytest.mark.parametrize("missed", list(Missed))
def test_what_becomes_of_missed_times_is_the_user_s_choice(missed: Missed) -> None:
    config = {"cron": "* * * * *", "missed": missed.value}

    assert ON_SCHEDULE.missed(ON_SCHEDULE.config.model_validate(config)) is missed
    assert ON_SCHEDULE.missed(ON_SCHEDULE.config.model_validate({"interval": 60})) is Missed.LATEST


@pytest.mark.parametrize(
    ("definition", "config", "wrong"),
    [
        (ON_SCHEDULE, {}, {"cron", "interval", "rrule"}),
        (ON_SCHEDULE, {"rrule": "FREQ=WEEKLY;BYDAY=MO"}, {"rrule"}),
        (ON_SCHEDULE, {"rrule": "FREQ=DAILY;BYHOUR=9", "start": "soon"}, {"start"}),
        (ON_SCHEDULE, {"cron": "0 9 * * *", "interval": 60}, {"cron", "interval"}),
        (ON_SCHEDULE, {"cron": "0 25 * * *"}, {"cron"}),
        (ON_SCHEDULE, {"cron": "0 0 31 2 *"}, {"cron"}),
        (ON_SCHEDULE, {"cron": "{9} * * * *"}, {"cron"}),
        (ON_SCHEDULE, {"cron": "0 9 * * *", "timezone": "Mars/Olympus"}, {"timezone"}),
        (ON_SCHEDULE, {"interval": 0}, {"interval"}),
        (ON_SCHEDULE, {"interval": "often"}, {"interval"}),
        (ON_SCHEDULE, {"interval": 60, "missed": "some"}, {"missed"}),
        (ON_SCHEDULE, {"interval": 60, "run_at": "2030-01-01T09:00:00Z"}, {"run_at"}),
        (ONCE, {}, {"run_at"}),
        (ONCE, {"run_at": "soon"}, {"run_at"}),
        (ONCE, {"run_at": "2030-01-01T09:00:00"}, {"run_at"}),
        (ONCE, {"run_at": "2030-01-01T09:00:00", "timezone": "Mars/Olympus"}, {"timezone"}),
    ],
)
def test_what_makes_no_schedule_is_refused_at_the_field_to_blame(
    definition: Scheduled[Any], config: dict[str, Any], wrong: set[str]
) -> None:
    with pytest.raises(ValidationError) as refusal:
        definition.config.model_validate(config)

    assert {problem["loc"] for problem in refusal.value.errors()} == {(name,) for name in wrong}
    assert all("{message}" not in problem["msg"] for problem in refusal.value.errors())
