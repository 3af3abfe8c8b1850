"""The service as its command line starts it, with a meter in its process: `python -m tests.attacks.service serve …`."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable

from hairtrigger import cli, serving
from tests.attacks.meter import Meter

_SIGNAL_AT_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG, see prctl(2)
METER_FILE = "METER_FILE"  # the environment variable with the file for the readings, one a line
WHERE_FILE = "METER_WHERE_FILE"  # the variable with the file for the stacks of threads while the loop stands still


def main() -> None:
    ctypes.CDLL(None).prctl(_SIGNAL_AT_PARENTS_DEATH, signal.SIGTERM)  # the service ends with its parent
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
