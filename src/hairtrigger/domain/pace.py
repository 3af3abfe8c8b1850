"""Computes the pace of one connection. It says how many of the connection's polls may be under way at a time, and when
the provider allows the next one.

All processes together keep to the pace. A poll that finds no place becomes due again a moment after the queued poll
before it. The queue consists of these due times only, so a connection with a thousand due triggers never crowds out the
other connections.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

_TURN = timedelta(milliseconds=200)  # for each place, one queued poll is due again this often


@dataclass(frozen=True)
class Pace:
    connection_id: UUID
    running: Mapping[UUID, datetime] = field(default_factory=dict)
    """The leases of the polls under way, each with the time at which it ends at the latest, so that the place of a dead
    worker becomes free.
    """
    queued_until: datetime | None = None
    paused_until: datetime | None = None

    def paused(self, now: datetime) -> bool:
        return self.paused_until is not None and self.paused_until > now

    def has_room(self, now: datetime, places: int) -> bool:
        return not self.paused(now) and sum(end > now for end in self.running.values()) < places

    def entered(self, lease: UUID, now: datetime, until: datetime) -> Self:
        still = {one: end for one, end in self.running.items() if end > now}
        return replace(self, running={**still, lease: until})

    def queued(self, now: datetime, places: int) -> tuple[Self, datetime]:
        """Return the pace with one more poll in the queue, and the time at which that poll is due again. `places` is
        how many polls of the connection may be under way at a time.
        """
        turn = max(now, self.paused_until or now, self.queued_until or now) + _TURN / places
        return replace(self, queued_until=turn), turn

    def left(self, leases: Collection[UUID], paused_until: datetime | None = None) -> Self:
        """Return the pace without these leases, and with the later one of its pause and of `paused_until`.

        Polls can end in any order, so a late answer must not shorten the pause that another answer asked for.
        """
        pauses = [at for at in (self.paused_until, paused_until) if at]
        running = {one: end for one, end in self.running.items() if one not in leases}
        return replace(self, running=running, paused_until=max(pauses, default=None))

    def fresh(self) -> Self:
        """Return the pace without its queue and its pause. This is for new credentials, because the limits that the
        provider set for the old credentials do not apply to new ones.
        """
        return replace(self, queued_until=None, paused_until=None)
