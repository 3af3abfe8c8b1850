"""Which walls stand around a worker."""

import sys
from dataclasses import dataclass
from typing import Any

UNLOCKED = "HAIRTRIGGER_SANDBOX_UNLOCKED=true"


@dataclass(frozen=True)
class Walls:
    """Those around guest code that has broken out of WebAssembly. The memory of its guest is not among them."""

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
        """As a worker told them."""
        parts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
        }
        return cls(**parts)

    @property
    def missing(self) -> str | None:
        """Why no user's code may run behind them, if it may not."""
        if not self.seccomp:
            return "seccomp"
        if not self.tested or self.holes:
            return f"what refuses to {', '.join(self.holes) or 'do anything'}"
        return None
