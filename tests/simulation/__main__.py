"""Run many seeds one after the other: `./dev poe simulate --seeds 1000`, or `--seed N` for one that failed."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from hairtrigger.platform.postgres import embedded
from hairtrigger.platform.vault import Vault
from hairtrigger.store.database import open_store
from tests.conftest import emptied
from tests.simulation.simulation import Broken, simulate


async def run(folder: Path, first: int, count: int) -> int:
    """Run `count` seeds from `first` on, and return how many of them broke a promise."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    vault = Vault.open(folder / "keys.json")
    broken, begin = 0, time.monotonic()
    async with embedded(folder / "postgres") as server, open_store(server.url) as store:
        await store.migrate()
        for seed in range(first, first + count):
            await emptied(store)
            try:
                await simulate(store, vault, seed)
            except Broken as error:
                broken += 1
                print(f"\n{error}\n\nAgain: ./dev poe simulate --seed {seed}\n", flush=True)
    print(f"{count} seeds in {time.monotonic() - begin:.0f} s, {broken} broke a promise.")
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulate", description="Scheduler, poller and cursor, by seeds.")
    parser.add_argument("--seeds", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--first", type=int, default=1, help="where they begin (default: 1)")
    parser.add_argument("--seed", type=int, help="this one only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hairtrigger-simulation-") as made:
        folder = Path(made)
        folder.chmod(0o711)  # for root, the database runs as another user, who must be able to enter
        first, count = (arguments.seed, 1) if arguments.seed is not None else (arguments.first, arguments.seeds)
        sys.exit(1 if asyncio.run(run(folder, first, count)) else 0)


if __name__ == "__main__":
    main()
