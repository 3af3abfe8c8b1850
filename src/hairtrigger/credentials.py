"""What the command line needs to speak to a running service."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

_FILE = "command-line.json"


@dataclass(frozen=True)
class Credentials:
    """Kept in the data directory, readable for its owner only."""

    url: str
    api_key: str

    def save(self, data_dir: Path) -> None:
        """Overwrites what an earlier start left: the address may have changed."""
        data_dir.mkdir(parents=True, exist_ok=True)
        path = data_dir / _FILE
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(vars(self), file)

    @classmethod
    def load(cls, data_dir: Path) -> "Credentials | None":
        try:
            return cls(**json.loads((data_dir / _FILE).read_text()))
        except FileNotFoundError:
            return None
