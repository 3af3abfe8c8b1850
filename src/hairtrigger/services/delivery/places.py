"""Share a process's places for deliveries under way among organisations, and then among the projects of each."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.store.delivery.lanes import Asking

_FEW = 4  # if there are fewer places than this, none is kept for others


@dataclass
class Places:
    """The places for deliveries under way. One project alone may take `of_one` of them.

    There are more places, which only other projects and organisations get (`Shares.beyond`), unless `of_one` is very
    small.
    """

    of_one: int
    refused: frozenset[str] = field(default=frozenset(), init=False)
    """The projects that got no place in the last `share`, or fewer than they asked for, and may get one when one is
    given back.
    """
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
        """Take a place for the tenant and return True, or return False if it may have no more places now."""
        return self._shares.taken(tenant)

    def give_back(self, tenant: Tenant, places: int = 1) -> None:
        for _ in range(places):
            self._shares.leave(tenant)

    def share(self, asking: Sequence[Asking], places: int) -> Mapping[str, int]:
        """Take up to `places` places for the projects that ask, and return how many each has got, by the project's id.

        Organisations take turns, one place at a time, and so do the projects of each. No project gets more than it has
        room for.
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
        """Return, for each organisation, its projects that ask and how many more deliveries each has room for.

        They stand in the order of their turns. The projects with the fewest places come first. Among projects with
        equally many, another one is first at each call.
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
    """Return the tenant of a delivery. If the project has been deleted, `org_id` is None, and the tenant's organisation
    is empty.
    """
    return Tenant(str(org_id or ""), project_id)
