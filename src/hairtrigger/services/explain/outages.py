"""Find outages, the times in which no process did a kind of work."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hairtrigger.store.upkeep.processes import After, Stretch

SILENT = timedelta(seconds=10)  # without a sign of life for so long, a process stood still or is dead
WORKERS = ("all", "worker")
RECEIVERS = ("all", "api")


@dataclass(frozen=True)
class Outage:
    since: datetime
    until: datetime | None  # None while it lasts
    cause: After
    whole: bool  # no process of another role ran either


def outages(
    stretches: Sequence[Stretch], roles: Collection[str], since: datetime, until: datetime, now: datetime
) -> list[Outage] | None:
    """Return the outages of the processes with these roles that overlap the time from `since` to `until`, oldest first.

    Each outage has its whole length, also outside that time. `stretches` are those of that time and the nearest ones
    before and after it. Return None if they do not reach back to `since`.
    """
    last = {one.id: one for one in sorted(stretches, key=lambda one: one.started_at)}

    def end(one: Stretch) -> datetime:
        lives = one is last[one.id] and not one.ended and now - one.seen_at <= SILENT
        return now if lives else one.seen_at

    working = sorted((one for one in stretches if one.role in roles), key=lambda one: one.started_at)
    if not working or working[0].started_at > since:
        return None
    others = [(one.started_at, end(one)) for one in stretches if one.role not in roles]
    gaps: list[tuple[datetime, datetime | None, After]] = []
    covered = end(working[0])
    for one in working[1:]:
        if one.started_at > covered:
            gaps.append((covered, one.started_at, one.after))
        covered = max(covered, end(one))
    if covered < min(now, until):
        gaps.append((covered, None, "start"))
    return [
        Outage(begin, stop, cause, whole=not any(a < (stop or now) and b > begin for a, b in others))
        for begin, stop, cause in gaps
        if begin < until and (stop is None or stop > since)
    ]
