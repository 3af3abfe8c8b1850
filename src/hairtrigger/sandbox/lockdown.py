"""What a worker process may ask of the system."""

import resource

_DATA_BYTES = 2 * 1024**3
_OPEN_FILES = 64


def lock_down() -> None:
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_DATA, _DATA_BYTES),
    ):
        resource.setrlimit(limit, (value, value))
