"""The states of a disk: each begins at its threshold, and ends a little below it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain.disk import DiskState, DiskUse, Thresholds

THRESHOLDS = Thresholds(0.90, 0.97)


@pytest.mark.parametrize(
    ("used", "before", "state"),
    [
        (None, "ok", "unknown"),
        (0.0, "unknown", "ok"),
        (0.8999, "ok", "ok"),
        (0.90, "ok", "low"),
        (0.895, "low", "low"),
        (0.89, "low", "ok"),
        (0.9699, "low", "low"),
        (0.97, "ok", "full"),
        (0.965, "full", "full"),
        (0.96, "full", "low"),
        (0.895, "full", "low"),
        (0.5, "full", "ok"),
        (1.0, "unknown", "full"),
    ],
)
def test_the_state_follows_from_the_use_and_the_state_before(
    used: float | None, before: DiskState, state: DiskState
) -> None:
    assert THRESHOLDS.state(used, before) == state


@given(st.floats(0, 1), st.lists(st.floats(-0.004, 0.004), min_size=2))
def test_a_use_that_trembles_changes_the_state_at_most_once(around: float, trembling: list[float]) -> None:
    states: list[DiskState] = [THRESHOLDS.state(around, "ok")]
    for by in trembling:
        states.append(THRESHOLDS.state(around + by, states[-1]))
    assert sum(one != other for one, other in pairwise(states)) <= 1


def test_each_state_is_told_in_words() -> None:
    assert DiskUse("full", 0.98, THRESHOLDS).sentence.startswith("The disk is 98.0% full. No new event is taken;")
    assert "From 97% on no new event is taken" in DiskUse("low", 0.91, THRESHOLDS).sentence
    assert DiskUse("ok", 0.5, THRESHOLDS).sentence == "The disk is 50.0% full."
    assert "HAIRTRIGGER_DATABASE_MAX_BYTES" in DiskUse("unknown", None, THRESHOLDS).sentence
