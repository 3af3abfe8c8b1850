"""The environment that polling code finds: its JavaScript, and what the host answers it at once."""

import os
from collections.abc import Callable
from importlib import resources

PRELUDE = ("basics", "url", "fetch", "entries")  # in this order
HOOKS = ("abort", "decode", "done", "encode", "fail", "fetchFromHost", "log", "random", "wake")
ENTRIES = ("start", "check", "respond", "runTimers")

Value = str | bytes | None  # None is JavaScript's undefined
Hook = Callable[..., Value]


def prelude() -> str:
    """A function of the hooks that defines the environment and returns the entries."""
    folder = resources.files("hairtrigger.sandbox") / "prelude"
    parts = [(folder / f"{name}.js").read_text("utf-8") for name in PRELUDE]
    return f'(function ({", ".join(HOOKS)}) {{ "use strict";\n{"".join(parts)}}})'


def _decode(data: bytes, errors: str = "replace") -> str | None:
    try:
        return data.decode("utf-8", errors)
    except UnicodeDecodeError:
        return None


def _random(length: str) -> bytes:
    return os.urandom(int(length))


NATIVE: dict[str, Hook] = {"decode": _decode, "encode": str.encode, "random": _random}  # they know nothing of a poll
