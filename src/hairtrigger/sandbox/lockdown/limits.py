"""Limits the system resources of a sandbox worker."""

import resource

DATA_BYTES = 2 * 1024**3
OPEN_FILES = 64

# RLIMIT_AS is not limited: every guest reserves 4 GB of addresses.
_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NOFILE: OPEN_FILES,
    resource.RLIMIT_NPROC: 0,
    resource.RLIMIT_DATA: DATA_BYTES,
}


def limit_resources() -> None:
    """Limit the resources of the whole process for good. From now on it can start no thread, unless it runs as root."""
    for limit, most in _LIMITS.items():
        _, hard = resource.getrlimit(limit)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (value, value))
