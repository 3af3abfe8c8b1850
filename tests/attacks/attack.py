"""An attack, and the limits that the service must keep while the attack happens."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.attacks.attacker import Attacker

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """The limits of what an attack may cost. Memory is counted in bytes above its amount before the attack."""

    pause: float = 0.05
    """The longest time that the event loop may stand still at once, in seconds."""
    peak: int = 160 * MEBIBYTE
    """The highest resident memory of the service's own process during the attack."""
    lasting: int = 40 * MEBIBYTE
    """The resident memory of the same process after the attack."""


@dataclass(frozen=True)
class Attack:
    """Hostile input, and the way it is brought to the service.

    `run` returns when the service has dealt with all of the input, and raises `AssertionError` if the service dealt
    with it wrongly.
    """

    name: str
    case: str
    """The number of the case that the attack belongs to, in the list of failures that were seen in the field."""
    run: Callable[[Attacker], Awaitable[None]]
    limits: Limits = Limits()
    short: bool = False
    """True if the attack also belongs to the short form."""
