"""Puts together the environment that polling code finds, from its JavaScript and the names of its hooks and entries."""

import json
from importlib import resources

from hairtrigger.sandbox.worker.natives import Hook, Value, native_hooks, single_byte_tables

__all__ = ["ENTRIES", "HOOKS", "PRELUDE", "Hook", "Value", "native_hooks", "prelude"]

PRELUDE = (  # in this order
    "basics",
    "events",
    "abort",
    "timers",
    "text",
    "crypto",
    "buffer",
    "intl",
    "streams",
    "compression",
    "url",
    "form",
    "fetch",
    "clone",
    "console",
    "globals",
    "entries",
)
HOOKS = (
    "abort",
    "decode",
    "decodeSingleByte",
    "done",
    "encode",
    "endCoder",
    "fail",
    "fetchFromHost",
    "hash",
    "hmac",
    "log",
    "moreOfCoder",
    "openCoder",
    "parseJson",
    "random",
    "readKey",
    "signByKey",
    "toAscii",
    "verifyByKey",
    "wake",
    "writeCoder",
    "writeKey",
    "zoneName",
    "zoneOffset",
)
ENTRIES = ("start", "check", "respond", "runTimers")


def prelude() -> str:
    """Return the JavaScript source of a function that takes the hooks in the order of `HOOKS`, defines the environment
    and returns the entries.
    """
    folder = resources.files("hairtrigger.sandbox") / "prelude"
    parts = [(folder / f"{name}.js").read_text("utf-8") for name in PRELUDE]
    tables = f"const SINGLE_BYTE = {json.dumps(single_byte_tables())};\n"
    return f'(function ({", ".join(HOOKS)}) {{ "use strict";\n{tables}{"".join(parts)}}})'
