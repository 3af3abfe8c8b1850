"""The service as its command line starts it, with a meter beside it: `python -m tests.attacks.service serve …`."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable

from hairtrigger import cli, serving
from tests.attacks.meter import Meter

_SIGNAL_AT_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG, see prctl(2)
METER_FILE = "METER_FILE"  # takes the readings, a line each
WHERE_FILE = "METER_WHERE_FILE"  # takes the stacks of threads while the loop stands still


def main() -> None:
    ctypes.CDLL(None).prctl(_SIGNAL_AT_PARENTS_DEATH, signal.SIGTERM)  # nothing is left running
    made = serving.loop()
    serving.loop = lambda: _metered(made or asyncio.new_event_loop)
    cli.main()


def _metered(make: Callable[[], asyncio.AbstractEventLoop]) -> Callable[[], asyncio.AbstractEventLoop]:
    def loop() -> asyncio.AbstractEventLoop:
        made = make()
        where = os.environ.get(WHERE_FILE)
        Meter(_opened(os.environ[METER_FILE]), _opened(where) if where else None).start(made)
        return made

    return loop


def _opened(path: str) -> int:
    return os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)


if __name__ == "__main__":
    main()
