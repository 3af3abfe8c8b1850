"""The imitations of providers in npm emulate, which other people wrote."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.node import NODE, installed

EMULATE = "emulate@0.12.2"  # the newest version of this name is another package


@contextmanager
def emulated(service: str) -> Iterator[str]:
    """Serve an imitation while the block runs, and return its address."""
    script = installed(EMULATE) / f"{service}.mjs"
    script.write_text(Path(__file__).with_suffix(".mjs").read_text())
    command = [NODE, str(script), service]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()
