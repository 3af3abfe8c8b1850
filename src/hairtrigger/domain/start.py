"""The time from which on the events of a trigger count that is being enabled."""

from dataclasses import dataclass
from datetime import UTC, datetime

_EVERYTHING = datetime(1971, 1, 1, tzinfo=UTC)  # some providers refuse times before 1970, and polls look back a little


@dataclass(frozen=True)
class Start:
    """A start from the time `since` on. None: only what happens from now on starts an event."""

    since: datetime | None


NOW = Start(None)
EVERYTHING = Start(_EVERYTHING)


@dataclass(frozen=True)
class StartPreview:
    """The number of events that enabling a trigger would start at once. With `at_least`, there may be more."""

    events: int
    limit: int  # more than so many need a confirmation
    at_least: bool = False

    @property
    def needs_confirmation(self) -> bool:
        return self.events > self.limit

    @property
    def sentence(self) -> str:
        number = f"{'at least ' if self.at_least else ''}{self.events:,}"
        return f"This would start {number} event{'' if self.events == 1 else 's'}."
