"""A connection's places and its queue."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain.pace import Pace

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOLD = timedelta(seconds=90)


def full(places: int) -> Pace:
    pace = Pace(uuid4())
    for _ in range(places):
        assert pace.has_room(NOW, places)
        pace = pace.entered(uuid4(), NOW, NOW + HOLD)
    return pace


def test_a_connection_has_so_many_places_and_who_leaves_makes_room() -> None:
    pace = full(3)
    assert not pace.has_room(NOW, 3)
    [one, *_] = pace.running
    assert pace.left([one]).has_room(NOW, 3)


def test_the_place_of_a_dead_worker_comes_back_by_itself() -> None:
    pace = full(1)
    later = NOW + HOLD
    assert pace.has_room(later, 1)
    assert len(pace.entered(UUID(int=1), later, later + HOLD).running) == 1


@given(st.integers(1, 50), st.integers(1, 300))
def test_those_in_the_queue_come_one_after_the_other_and_none_too_late(places: int, waiting: int) -> None:
    pace, turns = full(places), []
    for _ in range(waiting):
        pace, turn = pace.queued(NOW, places)
        turns.append(turn)
    assert turns == sorted(set(turns))
    assert turns[0] > NOW
    assert turns[-1] <= NOW + timedelta(seconds=0.21) * waiting / places


def test_a_pause_ends_when_the_longest_of_all_that_was_asked_for_does() -> None:
    pace = full(2)
    [one, other] = pace.running
    pause = NOW + timedelta(hours=1)
    pace = pace.left([one], pause).left([other], NOW + timedelta(minutes=1)).left([other])
    assert pace.paused_until == pause
    assert not pace.has_room(NOW, 9)
    assert pace.queued(NOW, 2)[1] > pause
    assert pace.has_room(pause, 9)
    assert pace.fresh().has_room(NOW, 9)
