"""The places of a process for deliveries under way, which organisations share first and the projects of each second."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.store.delivery.lanes import Asking

_FEW = 4  # fewer places than these are all that there are; none is kept for others


@dataclass
class Places:
    """Places, of which one project alone may take `of_one`. There are more, which only others get: see `Shares`."""

    of_one: int
    refused: frozenset[str] = field(default=frozenset(), init=False)
    """The projects that were refused a place in the last `share`, and may have one when another gives one back."""
    _begun: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        few = Shares(self.of_one, of_org=self.of_one, of_project=self.of_one)
        self._shares = few if self.of_one < _FEW else Shares.beyond(self.of_one)

    @property
    def total(self) -> int:
        return self._shares.places

    @property
    def free(self) -> int:
        return self._shares.places - self._shares.held

    def take(self, tenant: Tenant) -> bool:
        """Take a place, and return True, if the tenant may have one."""
        return self._shares.taken(tenant)

    def give_back(self, tenant: Tenant, places: int = 1) -> None:
        for _ in range(places):
            self._shares.leave(tenant)

    def share(self, asking: Sequence[Asking], places: int) -> Mapping[str, int]:
        """Take up to `places` places, one for each organisation in turn, and return how many each project has got.

        The projects of an organisation have turns, too.
        """
        parts: Counter[str] = Counter()
        refused = set()
        turns = deque(self._lines(asking).values())
        while turns and places:
            line = turns.popleft()
            tenant, room = line.popleft()
            if self.take(tenant):
                parts[tenant.project] += 1
                places -= 1
                if room > 1:
                    line.append((tenant, room - 1))
            else:
                refused.add(tenant.project)
            if line:
                turns.append(line)
        self.refused = frozenset(refused.union(tenant.project for line in turns for tenant, _ in line))
        return parts

    def _lines(self, asking: Sequence[Asking]) -> dict[str, deque[tuple[Tenant, int]]]:
        """Return the projects of each organisation with their room, in the order of their turns.

        Those that have the fewest places come first, and among equals another one each time.
        """
        self._begun += 1
        start = self._begun % max(1, len(asking))
        room = {
            tenant_of(one.org_id, one.project_id): one.lane.room if one.lane else self.of_one
            for one in (*islice(asking, start, None), *islice(asking, start))
        }
        lines: dict[str, deque[tuple[Tenant, int]]] = {}
        for tenant in sorted(room, key=self._shares.held_by):
            lines.setdefault(tenant.org, deque()).append((tenant, room[tenant]))
        return lines


def tenant_of(org_id: UUID | None, project_id: str) -> Tenant:
    """Return the tenant of a delivery. Without an organisation, the project has been deleted."""
    return Tenant(str(org_id or ""), project_id)
