"""Run the tests as other machines would: one four times as fast, one a third as fast, and one that is busy.

Call it as `./dev poe any-machine`, with the names of some of these machines, and with paths and options for pytest:
`./dev poe any-machine fast slow tests/sandbox -x`. No test's outcome may depend on the machine. A fast or slow machine
is imitated by scaling the CPU limits of polling code, and a busy one by keeping the tests on one core together with
three processes that never rest.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from tests.support.speed import VARIABLE

MACHINES = ("fast", "slow", "busy")
SPINNERS = 3
_SIDE_BY_SIDE = ("-n", "2", "--dist", "worksteal")
_SPIN = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"  # it ends when this process does, in any way


def main(arguments: Sequence[str]) -> int:
    chosen = [name for name in arguments if name in MACHINES]
    arguments = [argument for argument in arguments if argument not in MACHINES]
    placed = arguments or _SIDE_BY_SIDE
    runs: dict[str, Callable[[], list[str]]] = {
        "fast": lambda: failures(placed, {VARIABLE: "4"}),
        "slow": lambda: failures(placed, {VARIABLE: str(1 / 3)}),
        "busy": lambda: busy(arguments),
    }
    failed: dict[str, list[str]] = {}
    for name in chosen or MACHINES:
        print(f"--- {name}", flush=True)
        failed[name] = runs[name]()
    print("---")
    for name, tests in failed.items():
        print(f"{name}: {len(tests)} failed" if tests else f"{name}: passed")
        print(*(f"  {test}\n" for test in tests), sep="", end="")
    return 1 if any(failed.values()) else 0


def busy(arguments: Sequence[str]) -> list[str]:
    with on_one_core(), spinning():
        return failures(arguments, {})


def failures(arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Run pytest, and return the tests that failed, or its exit code if it failed without naming a test."""
    command = [sys.executable, "-m", "pytest", "-rfE", *arguments]
    named = []
    with subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True) as pytest:
        assert pytest.stdout
        for line in pytest.stdout:
            print(line, end="", flush=True)
            if line.startswith(("FAILED ", "ERROR ")):
                named.append(line.strip())
    return named or ([f"pytest ended with {pytest.returncode}"] if pytest.returncode else [])


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep this process on one core, and with it all processes that it starts meanwhile."""
    if sys.platform != "linux":
        print("Processes can be kept on one core on Linux only: here the tests share all of them.")
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def spinning() -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(SPINNERS):
            spinner = stack.enter_context(subprocess.Popen([sys.executable, "-c", _SPIN, str(os.getpid())]))
            stack.callback(spinner.kill)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
