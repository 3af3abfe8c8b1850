"""Give a process access to the queue of deliveries by single statements, each of which is a transaction of its own."""

from dataclasses import dataclass, field
from datetime import timedelta

from hairtrigger.store.database import Store
from hairtrigger.store.server import BY_INDEX
from hairtrigger.store.statements import Statements

_PATIENCE = timedelta(seconds=30)


@dataclass(frozen=True)
class DeliveryQueue:
    store: Store
    statements: Statements = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "statements", Statements(self.store, _PATIENCE, BY_INDEX))

    def close(self) -> None:
        self.statements.close()
