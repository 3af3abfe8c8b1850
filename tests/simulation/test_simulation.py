"""A few seeds on every run. `./dev poe simulate --seeds 1000` runs many, and `--seed N` repeats one."""

import os

import pytest

from hairtrigger.platform.vault import Vault
from hairtrigger.store.database import Store
from tests.simulation.simulation import simulate

pytestmark = pytest.mark.anyio

SEEDS = [int(seed) for seed in os.environ.get("SIMULATION_SEED", "1 2 3 4 5 6").split()]


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_goes_wrong_every_thing_is_one_event_and_no_time_is_missed(
    store: Store, vault: Vault, seed: int
) -> None:
    await simulate(store, vault, seed)
