"""Outages follow from the times in which processes ran."""

from datetime import datetime, timedelta
from uuid import UUID

from hairtrigger.services.explain.outages import RECEIVERS, WORKERS, Outage, outages
from hairtrigger.store.upkeep.processes import After, Stretch
from tests.services.explain.test_sentences import NOON


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def ran(
    number: int, since: float, until: float, *, role: str = "all", after: After = "start", ended: bool = False
) -> Stretch:
    return Stretch(UUID(int=number), at(since), at(until), ended=ended, role=role, after=after)


def found(*stretches: Stretch, roles: tuple[str, ...] = WORKERS, now: float = 1000) -> list[Outage] | None:
    return outages(stretches, roles, at(0), at(100), at(now))


def test_a_process_that_ran_all_the_time_leaves_no_outage() -> None:
    assert found(ran(1, -50, 999)) == []


def test_what_is_older_than_the_first_record_is_not_known() -> None:
    assert found(ran(1, 10, 999)) is None
    assert found() is None


def test_the_time_between_two_starts_is_an_outage_with_its_whole_length() -> None:
    assert found(ran(1, -50, -10, ended=True), ran(2, 20, 999)) == [Outage(at(-10), at(20), "start", whole=True)]


def test_an_outage_before_or_after_that_time_is_not_told() -> None:
    assert found(ran(1, -50, -40), ran(2, -20, 200), ran(3, 300, 999)) == []


def test_while_another_process_does_the_same_work_there_is_no_outage() -> None:
    assert found(ran(1, -50, 10), ran(2, 40, 999), ran(3, -20, 50)) == []


def test_a_process_of_another_role_does_not_do_the_work() -> None:
    stretches = ran(1, -50, 10, role="worker"), ran(2, 40, 999, role="worker"), ran(3, -50, 999, role="api")
    assert found(*stretches) == [Outage(at(10), at(40), "start", whole=False)]
    assert found(*stretches, roles=RECEIVERS) == []


def test_a_break_in_the_life_of_one_process_is_told_by_its_cause() -> None:
    stretches = ran(1, -50, 10), ran(1, 30, 50, after="database"), ran(1, 60, 999, after="standstill")
    assert found(*stretches) == [
        Outage(at(10), at(30), "database", whole=True),
        Outage(at(50), at(60), "standstill", whole=True),
    ]


def test_a_process_without_a_sign_of_life_is_gone_and_one_with_a_late_sign_is_not() -> None:
    assert found(ran(1, -50, 60), now=75) == [Outage(at(60), None, "start", whole=True)]
    assert found(ran(1, -50, 70), now=75) == []
    assert found(ran(1, -50, 70, ended=True), now=75) == [Outage(at(70), None, "start", whole=True)]
