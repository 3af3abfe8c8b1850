"""Keeps the credentials with which the command line calls a running service."""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

_FILE = "command-line.json"


@dataclass(frozen=True)
class Credentials:
    """The address and an API key of a service. They are kept in a file of the data directory that only the file's owner
    can read.
    """

    url: str
    api_key: str = field(repr=False)

    def save(self, data_dir: Path) -> None:
        """Write the file, completely or not at all.

        A file of an earlier start is replaced, because the address may have changed.
        """
        data_dir.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".command-line-", dir=data_dir)  # mkstemp lets only the owner read it
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
