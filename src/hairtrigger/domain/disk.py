"""Defines the use of the disk, and the state that follows from the used share."""

from dataclasses import dataclass
from typing import Literal

DiskState = Literal["unknown", "ok", "low", "full"]

_BELOW = 0.01  # a state ends this far below its threshold, so that it does not come and go all the time


@dataclass(frozen=True)
class Thresholds:
    """The used shares of a disk, between 0 and 1, from which on its state is `low` and `full`."""

    low: float = 0.90
    full: float = 0.97

    def state(self, used: float | None, before: DiskState) -> DiskState:
        """Return the state of a disk of which the share `used` is in use, or `unknown` if `used` is None.

        `before` is the state until now. `low` and `full` end 0.01 below their thresholds.
        """
        if used is None:
            return "unknown"
        if used >= self.full or (before == "full" and used > self.full - _BELOW):
            return "full"
        if used >= self.low or (before in {"low", "full"} and used > self.low - _BELOW):
            return "low"
        return "ok"


@dataclass(frozen=True)
class DiskUse:
    """The use of the disk at one moment."""

    state: DiskState
    used: float | None  # None: it can't be seen
    thresholds: Thresholds

    @property
    def sentence(self) -> str:
        """Return the use of the disk in words for users, with what they can do about it."""
        if self.used is None:
            return (
                "How full the database's disk is can't be seen from here. To have it watched, tell how large the "
                "database may grow: HAIRTRIGGER_DATABASE_MAX_BYTES."
            )
        said = f"The disk is {self.used:.1%} full."
        match self.state:
            case "full":
                return f"{said} No new event is taken; what is stored is delivered. Make room, or keep less."
            case "low":
                return f"{said} From {self.thresholds.full:.0%} on no new event is taken. Make room, or keep less."
            case _:
                return said
