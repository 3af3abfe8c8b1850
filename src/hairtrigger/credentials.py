"""What the command line needs to speak to a running service."""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

_FILE = "command-line.json"


@dataclass(frozen=True)
class Credentials:
    """Kept in the data directory, readable for its owner only."""

    url: str
    api_key: str = field(repr=False)

    def save(self, data_dir: Path) -> None:
        """Overwrites what an earlier start left, whole or not at all: the address may have changed."""
        data_dir.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".command-line-", dir=data_dir)  # readable for its owner only
        with os.fdopen(handle, "w") as file:
            json.dump(vars(self), file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(data_dir / _FILE)

    @classmethod
    def load(cls, data_dir: Path) -> "Credentials | None":
        try:
            return cls(**json.loads((data_dir / _FILE).read_text()))
        except FileNotFoundError:
            return None
