"""The numbers of PostgreSQL's advisory locks, which all processes of the service share.

Each kind of work has a number of its own, so that it never waits for another kind.
"""

from enum import IntEnum, unique


@unique
class AdvisoryLock(IntEnum):
    MIGRATION = 7_420_317
    ORDERED_CLAIM = 7_420_318
    PARTITIONS = 7_420_319
    OPERATIONAL_EVENTS = 7_420_320
