"""Writes commands for a user to type, in a form that works where this program was started."""

import os
import shlex
import shutil
import sys
from pathlib import Path

_PLACE = "HAIRTRIGGER_DATA_DIR"


def command(arguments: str, *, demo: bool = False) -> str:
    """Return the command with these arguments, as a user types it in another terminal in the same folder. With `demo`
    it has the option `--demo`.
    """
    place = os.environ.get(_PLACE)
    prefix = f"{_PLACE}={shlex.quote(place)} " if place else ""
    return f"{prefix}{program()} {arguments}{' --demo' if demo else ''}"


def program() -> str:
    """Return the shortest shell command that starts this program from the current folder.

    The caller appends arguments to it.
    """
    environment = Path(sys.prefix)
    clone = environment.parent
    if environment.name == ".venv" and (clone / "dev").is_file():
        return "./dev hairtrigger" if Path.cwd() == clone else f"{shlex.quote(str(clone / 'dev'))} hairtrigger"
    script = Path(sys.executable).with_name("hairtrigger")
    found = shutil.which("hairtrigger")
    if found and script.exists() and Path(found).samefile(script):
        return "hairtrigger"
    return shlex.quote(str(script)) if script.exists() else f"{shlex.quote(sys.executable)} -m hairtrigger"
