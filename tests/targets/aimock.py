"""aimock, a mock of the APIs of language models."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import node

_PACKAGE = "@copilotkit/aimock"


@dataclass(frozen=True)
class AiMock:
    url: str


@contextmanager
def running_aimock(fixtures: Path) -> Iterator[AiMock]:
    cli = node.installed(f"{_PACKAGE}@1.43.0") / "node_modules" / _PACKAGE / "dist" / "cli.js"
    command = [node.NODE, str(cli), "--port", "0", "--strict", "--fixtures", str(fixtures)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            lines = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)
            yield AiMock(next(found[0] for found in lines if found))
        finally:
            process.terminate()
