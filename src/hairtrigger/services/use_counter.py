"""Count in memory what organisations use. `services/quotas` adds the counts to the database every two seconds."""

from collections.abc import Iterable
from uuid import UUID

from hairtrigger.store.delivery.deliveries import Attempt
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.quotas import EVENT_ROW, LEDGER_ROW, Counts


class UseCounter:
    """Counts in this process what organisations use. The counts begin at zero again with each `take`."""

    def __init__(self) -> None:
        self._counted: dict[UUID, Counts] = {}

    def of(self, org_id: UUID) -> Counts | None:
        return self._counted.get(org_id)

    def take(self) -> dict[UUID, Counts]:
        """Return the counts since the last call, by organisation, and set them to zero."""
        taken, self._counted = self._counted, {}
        return taken

    def give_back(self, taken: dict[UUID, Counts]) -> None:
        """Add counts again that `take` has returned, because they could not be added to the database."""
        for org_id, counts in taken.items():
            self._counts(org_id).add(counts)

    def events(self, stored: Iterable[Event]) -> None:
        org_id, counts = None, Counts()
        for event in stored:
            if event.org_id is not org_id:  # the events of a receiver have the same object: a look-up costs more
                org_id = event.org_id
                counts = self._counts(org_id)
            counts.events += 1
            counts.event_bytes += EVENT_ROW + len(event.body)

    def grown(self, org_id: UUID, size: int) -> None:
        """Count bytes by which a stored event has grown."""
        self._counts(org_id).event_bytes += size

    def outcomes(self, recorded: Iterable[Outcome]) -> None:
        for outcome in recorded:
            if outcome.org_id is not None:
                self._counts(outcome.org_id).ledger_bytes += LEDGER_ROW + len(outcome.detail)

    def attempts(self, ended: Iterable[Attempt]) -> None:
        for attempt in ended:
            counts = self._counts(attempt.org_id)
            counts.attempts += 1
            counts.ledger_bytes += LEDGER_ROW + attempt.size

    def ledger(self, org_id: UUID, rows: int, size: int = 0) -> None:
        """Count this many rows of the ledger. `size` is how many bytes the large values of all these rows have."""
        self._counts(org_id).ledger_bytes += rows * LEDGER_ROW + size

    def _counts(self, org_id: UUID) -> Counts:
        counts = self._counted.get(org_id)
        if counts is None:
            counts = self._counted[org_id] = Counts()
        return counts
