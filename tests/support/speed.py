"""A machine of another speed, as far as polling code can tell: its CPU limits are multiplied by `SPEED`.

`./dev poe any-machine` sets the variable; nothing outside the tests reads it.
"""

import os

VARIABLE = "TESTS_SPEED"
SPEED = float(os.environ.get(VARIABLE, "1"))

_FASTER = """
from hairtrigger.sandbox.worker.guest import Guest
plain = Guest.__init__
def scaled(self, machine, hooks, cpu, *rest):
    plain(self, machine, hooks, cpu * {speed}, *rest)
Guest.__init__ = scaled
"""
_FIRST = "from hairtrigger.sandbox.worker.main import main\n"


def scaled(program: str, speed: float) -> str:
    """Return the program of a sandbox worker, changed to multiply each CPU limit by `speed`."""
    assert _FIRST in program
    return program.replace(_FIRST, _FASTER.format(speed=speed) + _FIRST)


def settings(speed: float) -> dict[str, str]:
    """Return the environment variables that set the same CPU limit in a whole service."""
    return {} if speed == 1 else {"HAIRTRIGGER_SANDBOX_CPU_MILLISECONDS": str(round(250 * speed))}
