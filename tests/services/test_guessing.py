"""Limits for wrong passwords: how many are checked, and which users they keep from logging in."""

from contextlib import suppress
from datetime import timedelta

import pytest

from hairtrigger.domain.errors import RateLimited
from hairtrigger.services.guessing import Guessing
from tests.support.clock import ManualClock

OWNER, HOME, ABROAD = "owner@example.com", "203.0.113.1", "198.51.100.1"


class Door:
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.guessing = Guessing()

    def wrong(self, place: str, account: str = OWNER) -> bool:
        """Give a wrong password, and return whether it was checked at all."""
        try:
            guess = self.guessing.begin(account, place, self.clock.now())
        except RateLimited:
            return False
        with suppress(RateLimited):
            self.guessing.was_wrong(guess)
        return True

    def right(self, place: str, account: str = OWNER) -> bool:
        """Give the right password, and return whether it was accepted."""
        try:
            guess = self.guessing.begin(account, place, self.clock.now())
        except RateLimited:
            return False
        self.guessing.was_right(guess)
        return True


@pytest.fixture
def door(clock: ManualClock) -> Door:
    return Door(clock)


def test_ten_wrong_passwords_keep_nobody_from_giving_the_right_one(door: Door) -> None:
    assert all(door.wrong(HOME) for _ in range(10))
    assert door.right(HOME)


def test_guessing_from_one_place_or_from_many_comes_to_an_end(door: Door) -> None:
    assert sum(door.wrong(ABROAD) for _ in range(1000)) == 20
    assert sum(door.wrong(f"198.51.100.{number}") for number in range(200)) == 0
    door.clock.advance(timedelta(hours=1))
    assert sum(door.wrong(f"198.51.100.{number}") for number in range(200)) == 20


def test_strangers_do_not_lock_out_an_owner_who_comes_from_where_it_was_before(door: Door) -> None:
    assert door.right(HOME)
    while door.wrong(ABROAD):
        pass
    assert all(door.wrong(HOME) for _ in range(10))
    assert door.right(HOME)
    assert not door.right(ABROAD)


def test_a_neighbour_of_the_owner_can_not_guess_for_ever(door: Door) -> None:
    assert door.right(HOME)
    assert sum(door.wrong(HOME) for _ in range(1000)) == 100
    door.clock.advance(timedelta(hours=1))
    assert sum(door.wrong(HOME) for _ in range(1000)) == 60


def test_a_place_that_tries_many_accounts_is_stopped_and_those_that_it_knows_are_not(door: Door) -> None:
    assert door.right(HOME)
    assert sum(door.wrong(HOME, f"{number}@example.com") for number in range(100)) == 30
    assert door.right(HOME)
    assert door.wrong(ABROAD, "99@example.com")


def test_a_place_that_can_not_be_told_is_not_stopped_for_all(door: Door) -> None:
    assert all(door.wrong("", f"{number}@example.com") for number in range(100))


def test_attempts_under_way_count_and_right_ones_do_not(door: Door) -> None:
    under_way = [door.guessing.begin(OWNER, ABROAD, door.clock.now()) for _ in range(20)]
    assert not door.wrong(ABROAD)
    door.guessing.was_none(under_way.pop())
    assert door.wrong(ABROAD)
    for guess in under_way:
        door.guessing.was_none(guess)
    assert all(door.right(ABROAD) for _ in range(100))


def test_what_is_remembered_is_bounded(door: Door) -> None:
    for number in range(25_000):
        door.wrong("", f"{number}@example.com")
        door.right("", f"{number}@example.com")
    assert len(door.guessing.spent) <= 20_000
    assert len(door.guessing.known) <= 20_000
