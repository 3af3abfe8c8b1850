"""Define the messages of the queue, which point to deliveries and never hold a body."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

FIELDS = """msg_id, CAST(message->>'delivery' AS uuid), CAST(message->>'event' AS uuid),
    CAST(message->>'day' AS date), message->>'project', CAST(message->>'attempt' AS int), message ? 'released',
    coalesce(CAST(message->>'hops' AS int), 0)"""
"""SQL for the columns of a row of the queue, in the order of the fields of `Message`."""


@dataclass(frozen=True, slots=True)
class Message:
    """A pointer to a delivery on the queue."""

    msg_id: int
    delivery_id: UUID
    event_id: UUID
    event_day: date
    project_id: str
    attempt: int
    released: bool = False  # it may be attempted although its project or trigger is paused
    hops: int = 0  # how often deliveries of this service have led to its event: see `domain/hops.py`

    def pointer(self, attempt: int) -> dict[str, Any]:
        return {
            "delivery": str(self.delivery_id),
            "event": str(self.event_id),
            "day": self.event_day.isoformat(),
            "project": self.project_id,
            "attempt": attempt,
            **({"released": True} if self.released else {}),
            **({"hops": self.hops} if self.hops else {}),
        }
