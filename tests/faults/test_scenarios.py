"""A short run of scenarios that `./dev poe faults` runs for minutes."""

import random
import sys
from datetime import timedelta

import pytest

from tests.faults.scenarios import Plan, Scenario, database_gone, killed, two_services

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="processes to kill are found in Linux' /proc"),
]


@pytest.mark.parametrize(("scenario", "kinds"), [(killed, 2), (database_gone, 3), (two_services, 1)])
async def test_nothing_is_lost_and_nothing_doubled(scenario: Scenario, kinds: int) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}; to see more of it:  ./dev poe faults --seed {seed} {scenario.__name__}")
    short = timedelta(seconds=5)  # a restarted service takes over sooner, and no other one can claim running work
    verdict = await scenario(Plan(seed, rounds=1, events=60, per_second=100, kinds=kinds, lease=short))
    print(verdict.line())
