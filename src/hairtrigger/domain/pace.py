"""How fast one connection is asked, whoever asks: so many polls at a time, and none before its provider allows.

A poll that finds no place waits in a queue that is nothing but times: each is told when to come again, one a moment
after the other, so that a connection with a thousand triggers that are due never crowds out the others.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

_TURN = timedelta(milliseconds=200)  # a place is looked for so often


@dataclass(frozen=True)
class Pace:
    connection_id: UUID
    running: Mapping[UUID, datetime] = field(default_factory=dict)
    """The leases of polls under way, and when each ends at the latest: a dead worker's place comes back by itself."""
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
        """With one more in the queue, and when it is to come again."""
        turn = max(now, self.paused_until or now, self.queued_until or now) + _TURN / places
        return replace(self, queued_until=turn), turn

    def left(self, leases: Collection[UUID], paused_until: datetime | None = None) -> Self:
        """A pause only ever grows: what one answer says, a later one of an earlier poll does not take back."""
        pauses = [at for at in (self.paused_until, paused_until) if at]
        running = {one: end for one, end in self.running.items() if one not in leases}
        return replace(self, running=running, paused_until=max(pauses, default=None))

    def fresh(self) -> Self:
        """As of a connection whose credentials are new: what was said to the old ones does not bind them."""
        return replace(self, queued_until=None, paused_until=None)
