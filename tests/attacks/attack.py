"""What an attack is, and the limits that the service must stay within while it happens."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.attacks.attacker import Attacker

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What an attack may cost. Memory is counted in bytes above what the service had before the attack."""

    pause: float = 0.05
    """Seconds that the event loop may stand still at once."""
    peak: int = 160 * MEBIBYTE
    """Resident memory of the service's own process, at its highest."""
    lasting: int = 40 * MEBIBYTE
    """The same, after the attack."""


@dataclass(frozen=True)
class Attack:
    """Strangers' input, and how it is brought to the service.

    `run` returns when the service has dealt with all of it, and raises `AssertionError` when it dealt with it wrongly.
    """

    name: str
    case: str
    """The number of the case that it belongs to, in the list of what failed in the field."""
    run: Callable[[Attacker], Awaitable[None]]
    limits: Limits = Limits()
    short: bool = False
    """Whether it belongs to the short form, too."""
