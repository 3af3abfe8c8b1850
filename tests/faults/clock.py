"""A clock that can jump, for each process that gets its environment: https://github.com/wolfcw/libfaketime"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults.database import Impossible

_LIBRARIES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)


@dataclass
class JumpingClock:
    file: Path
    offset: timedelta = timedelta()

    def jump(self, by: timedelta) -> None:
        self.offset += by
        written = self.file.with_suffix(".new")
        written.write_text(f"{self.offset.total_seconds():+.0f}s\n")
        written.chmod(0o644)
        written.replace(self.file)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def environment(self) -> Mapping[str, str]:
        """Return the variables that give a process this clock. Raise `Impossible` if the library is not installed."""
        found = [path for pattern in _LIBRARIES for path in Path("/").glob(pattern.removeprefix("/"))]
        if not found:
            raise Impossible("libfaketime is not installed")
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
