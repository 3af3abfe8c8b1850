"""How much of the system's a worker may have."""

import resource

DATA_BYTES = 2 * 1024**3
OPEN_FILES = 64

# Not RLIMIT_AS: every guest reserves 4 GB of addresses.
_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NOFILE: OPEN_FILES,
    resource.RLIMIT_NPROC: 0,
    resource.RLIMIT_DATA: DATA_BYTES,
}


def limit_resources() -> None:
    """Of the whole process, for good. It starts no thread from now on, unless it is root's."""
    for limit, most in _LIMITS.items():
        _, hard = resource.getrlimit(limit)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (value, value))
