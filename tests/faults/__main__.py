"""Strike the service with faults for minutes, and report which events it lost, doubled and repeated."""

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from pathlib import Path

from tests.faults.database import Impossible
from tests.faults.scenarios import MANY, SCENARIOS, Plan, Scenario


def main() -> int:
    names = [scenario.__name__ for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="of an earlier run, to strike in the same order")
    parser.add_argument("--rounds", type=int, default=2, help="how often each fault strikes")
    events = f"events between two faults; with fewer than {MANY}, repeats are judged by what can be on its way then"
    parser.add_argument("--events", type=int, default=MANY, help=events)
    parser.add_argument("--per-second", type=float, default=400, help="events a second")
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"of {', '.join(names)}; all by default")
    given = parser.parse_args()
    if unknown := set(given.scenarios) - set(names):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # no process is left running
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    plan = Plan(seed, given.rounds, given.events, given.per_second)
    chosen = [scenario for scenario in SCENARIOS if scenario.__name__ in (given.scenarios or names)]
    print(f"--seed {seed} strikes in the same order again", flush=True)
    figures = {scenario.__name__: _run(scenario, plan) for scenario in chosen}
    if given.json:
        given.json.write_text(json.dumps({"seed": seed, "scenarios": figures}, indent=1) + "\n")
    return int(any("broken" in each for each in figures.values()))


def _run(scenario: Scenario, plan: Plan) -> dict[str, object]:
    began = time.monotonic()
    try:
        verdict = asyncio.run(scenario(plan))
    except Impossible as reason:
        print(f"{scenario.__name__}: skipped, {reason}", flush=True)
        return {"skipped": str(reason)}
    except Exception as broken:  # noqa: BLE001 the other scenarios must still run
        message = _message(broken)
        print(f"{scenario.__name__}: BROKEN, {message}", flush=True)
        return {"broken": message}
    took = time.monotonic() - began
    print(f"{scenario.__name__} ({took:.0f} s): {verdict.line()}", flush=True)
    return {**verdict.figures(), "seconds": round(took)}


def _message(error: BaseException) -> str:
    """Return the text of the error, or of the first error inside an exception group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


sys.exit(main())
