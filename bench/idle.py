"""Measure the processor time of a service that has nothing to do, and of its database.

`./dev poe bench-idle`. The floor is a Python process that sleeps.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from bench.machine import cpu_seconds, descendants, observed
from bench.programs import service
from bench.report import Figure, options, tell

_GOAL = 1.0  # per cent of a core, all together
_SETTLE = 5.0  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.idle", description="What an idle service costs.")
    parser.add_argument("--seconds", type=float, default=20, help="of the measurement (default: 20)")
    options(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made, observed() as machine:
        Path(made).chmod(0o711)
        with service(Path(made) / "idle"), _sleeper() as floor:
            time.sleep(_SETTLE)
            [own] = [one for one in _children(os.getpid()) if one != floor.pid]
            database = descendants(own)
            before = [_spent([own]), _spent(database), _spent([floor.pid])]
            time.sleep(arguments.seconds)
            after = [_spent([own]), _spent(database), _spent([floor.pid])]
            floor.terminate()
    ours, theirs, sleeping = (100 * (now - then) / arguments.seconds for now, then in zip(after, before, strict=True))
    total = ours + theirs
    figures = [
        Figure("the service", "idle", ours, "% of a core", sleeping or None),
        Figure("its children: database, sandbox", "idle", theirs, "% of a core"),
        Figure("together", "idle", total, "% of a core", None, f"< {_GOAL:g}", total < _GOAL),
    ]
    tell("idle", machine, figures, arguments)


def _sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])


def _children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _spent(processes: Iterable[int]) -> float:
    return sum(_cpu(process) for process in processes)


def _cpu(process: int) -> float:
    try:
        return cpu_seconds(process)
    except OSError:  # it has ended
        return 0.0


if __name__ == "__main__":
    main()
