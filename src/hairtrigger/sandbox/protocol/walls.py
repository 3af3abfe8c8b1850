"""Defines the report on the walls that stand around a sandbox worker."""

import sys
from dataclasses import dataclass
from typing import Any

UNLOCKED = "HAIRTRIGGER_SANDBOX_UNLOCKED=true"


@dataclass(frozen=True)
class Walls:
    """A report on the walls that hold back guest code which has left WebAssembly. WebAssembly itself is not one of
    these walls.
    """

    platform: str = sys.platform
    seccomp: bool = False
    landlock: int = 0  # the version
    uid: int = 0
    namespaces: tuple[str, ...] = ()
    empty_root: bool = False
    no_executable_memory: bool = False
    limits: bool = False
    holes: tuple[str, ...] = ()  # attempts of the self-test that were not refused
    tested: bool = False

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Walls":
        """Return the report that a sandbox worker sent, from its fields as parsed JSON. Raises `TypeError` for a field
        that a report does not have.
        """
        parts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
        }
        return cls(**parts)

    @property
    def missing(self) -> str | None:
        """Return None if users' code may run behind these walls, or else what is missing, as words that can follow "it
        lacks".
        """
        if not self.seccomp:
            return "seccomp"
        if not self.tested or self.holes:
            return f"what refuses to {', '.join(self.holes) or 'do anything'}"
        return None
