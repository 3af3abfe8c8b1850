"""The ledger notices events that were lost, doubled or repeated."""

import json
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger, Strike

TRIGGER = "t"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "received")


def promised(ledger: Ledger, *keys: str) -> None:
    for key in keys:
        ledger.acknowledge((TRIGGER, key), 1, 2)


def received(ledger: Ledger, key: str, delivery: str, at: float = 3, attempt: int = 1) -> None:
    with ledger.file.open("a") as file:
        request = {"at": at, "delivery": delivery, "trigger": TRIGGER, "key": key, "attempt": attempt}
        file.write(json.dumps(request) + "\n")


def test_what_arrived_as_often_as_it_happened_is_in_order(ledger: Ledger) -> None:
    promised(ledger, "a", "b")
    received(ledger, "a", "1")
    received(ledger, "b", "2")
    ledger.verdict().check(under_way=0, repeats=0)


def test_an_event_that_never_arrived_is_lost(ledger: Ledger) -> None:
    promised(ledger, "a", "b")
    received(ledger, "a", "1")
    with pytest.raises(AssertionError, match="1 events were lost"):
        ledger.verdict().check(under_way=9, repeats=None)


def test_an_event_under_two_delivery_ids_is_doubled(ledger: Ledger) -> None:
    promised(ledger, "a")
    received(ledger, "a", "1")
    received(ledger, "a", "2")
    with pytest.raises(AssertionError, match="1 events were started twice"):
        ledger.verdict().check(under_way=9, repeats=None)


def test_a_repeat_needs_a_fault_that_explains_it(ledger: Ledger) -> None:
    promised(ledger, "a")
    received(ledger, "a", "1", at=3)
    received(ledger, "a", "1", at=40)
    ledger.strikes.append(Strike("later", at=41, over=41, recovered=42))
    with pytest.raises(AssertionError, match="1 repeats without a fault"):
        ledger.verdict().check(under_way=9, repeats=None)
    ledger.strikes.append(Strike("between", at=2, over=4, recovered=5))
    ledger.verdict().check(under_way=1, repeats=None)
    with pytest.raises(AssertionError, match="1 of 1 attempts were repeated"):
        ledger.verdict().check(under_way=1, repeats=0.005)


def test_each_fault_repeats_no_more_than_was_on_its_way(ledger: Ledger) -> None:
    ledger.strikes += [Strike("kill", at=at, over=at, recovered=at) for at in (4, 104)]
    for at in (3, 103):
        for number in range(2):
            promised(ledger, f"{at} {number}")
            received(ledger, f"{at} {number}", f"{at} {number}", at=at)
            received(ledger, f"{at} {number}", f"{at} {number}", at=at + 30)
    ledger.verdict().check(under_way=2, repeats=None)
    with pytest.raises(AssertionError, match="a fault repeated 2 attempts, and only 1 can have been on their way"):
        ledger.verdict().check(under_way=1, repeats=None)


def test_a_second_attempt_is_no_repeat(ledger: Ledger) -> None:
    promised(ledger, "a")
    received(ledger, "a", "1", attempt=1)
    received(ledger, "a", "1", attempt=2)
    verdict = ledger.verdict()
    verdict.check(under_way=0, repeats=0)
    assert (verdict.repeated, verdict.retried) == (0, 1)


def test_a_run_without_a_single_promise_shows_nothing(ledger: Ledger) -> None:
    with pytest.raises(AssertionError, match="nothing was acknowledged"):
        ledger.verdict().check(under_way=9, repeats=None)
