"""Share a number of places fairly between organisations, and in each organisation between its projects."""

import asyncio
from asyncio import CancelledError, Future
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

K = TypeVar("K")

_SPARE = 4  # of so many places that one tenant may have alone, one more exists for the others


class Tenant(NamedTuple):
    """An organisation and one of its projects, by their ids. Both are empty for work of the service itself.

    Only `project` is empty for work that belongs to no project.
    """

    org: str = ""
    project: str = ""


OURS = Tenant()  # the service's own work


class Shares:
    """A number of places. An organisation has at most `of_org` of them at a time, and a project at most `of_project`.

    The fewer places are free, the fewer an organisation may have. So one organisation alone gets `of_org` places, two
    get equal numbers, and some places stay free for the next one (the dynamic threshold of Choudhury and Hahne). The
    same holds for the projects of an organisation. When a place becomes free, it goes to the organisation that waits
    and has the fewest places, and in it to the project that has the fewest.
    """

    def __init__(self, places: int, *, of_org: int, of_project: int) -> None:
        self.places = places
        self._of_org = of_org
        self._of_project = of_project
        self._held = 0
        self._orgs: Counter[str] = Counter()
        self._projects: Counter[Tenant] = Counter()
        self._line = _Line()  # the organisations that wait
        self._lines: dict[str, _Line] = {}  # their projects
        self._waiting: dict[Tenant, deque[Future[None]]] = {}

    @classmethod
    def beyond(cls, places: int) -> "Shares":
        """Return shares in which one project alone gets `places`.

        A quarter more exists for the other projects of its organisation, and again a quarter for other organisations.
        """
        of_org = places + -(-places // _SPARE)
        return cls(of_org + -(-of_org // _SPARE), of_org=of_org, of_project=places)

    @property
    def held(self) -> int:
        return self._held

    @asynccontextmanager
    async def place(self, tenant: Tenant) -> AsyncIterator[None]:
        await self.enter(tenant)
        try:
            yield
        finally:
            self.leave(tenant)

    async def enter(self, tenant: Tenant) -> None:
        """Wait for a place and take it. `leave` gives it back."""
        if self.taken(tenant):
            return
        entered: Future[None] = asyncio.get_running_loop().create_future()
        self._wait(tenant, entered)
        try:
            await entered
        except CancelledError:
            if entered.cancelled():
                self._forget(tenant, entered)
            else:
                self.leave(tenant)
            raise

    def taken(self, tenant: Tenant) -> bool:
        """Take a place if the tenant may have one now, and return whether it was taken. `leave` gives it back."""
        if not self._may_enter(tenant):
            return False
        self._change(tenant, 1)
        return True

    def leave(self, tenant: Tenant) -> None:
        self._change(tenant, -1)
        while following := next(self._following(), None):  # one place less can raise the share of several
            entered = self._waiting[following][0]
            self._forget(following, entered)
            self._change(following, 1)
            entered.set_result(None)

    def held_by(self, tenant: Tenant) -> tuple[int, int]:
        """Return how many places the tenant's organisation has in all, and how many of them are its project's."""
        return self._orgs[tenant.org], self._projects[tenant]

    def barred(self) -> tuple[list[str], list[str]]:
        """Return the ids of the organisations and of the projects that have places and may not have more now."""
        orgs = [org for org, held in self._orgs.items() if not self._org_may(held)]
        return orgs, [one.project for one in self._projects if one.project and not self._project_may(one)]

    def _may_enter(self, tenant: Tenant) -> bool:
        return self._org_may(self._orgs[tenant.org]) and self._project_may(tenant)

    def _org_may(self, held: int) -> bool:
        free = self.places - self._held
        return free > 0 and held * (self.places - self._of_org) < self._of_org * free

    def _project_may(self, tenant: Tenant) -> bool:
        free = self._of_org - self._orgs[tenant.org]
        return free > 0 and self._projects[tenant] * (self._of_org - self._of_project) < self._of_project * free

    def _following(self) -> Iterator[Tenant]:
        """Yield the tenants that wait and may have a place, in the order in which they get it."""
        for org in self._line.in_order():
            if not self._org_may(self._orgs[org]):
                return  # those behind it have as many places or more
            for project in self._lines[org].in_order():
                tenant = Tenant(org, project)
                if self._project_may(tenant):
                    yield tenant

    def _change(self, tenant: Tenant, by: int) -> None:
        self._held += by
        _count(self._orgs, tenant.org, by)
        _count(self._projects, tenant, by)
        self._line.move(tenant.org, self._orgs[tenant.org])
        if tenant.org in self._lines:
            self._lines[tenant.org].move(tenant.project, self._projects[tenant])

    def _wait(self, tenant: Tenant, entered: Future[None]) -> None:
        self._waiting.setdefault(tenant, deque()).append(entered)
        self._line.add(tenant.org, self._orgs[tenant.org])
        self._lines.setdefault(tenant.org, _Line()).add(tenant.project, self._projects[tenant])

    def _forget(self, tenant: Tenant, entered: Future[None]) -> None:
        waiting = self._waiting[tenant]
        waiting.remove(entered)
        if waiting:
            return
        del self._waiting[tenant]
        projects = self._lines[tenant.org]
        projects.remove(tenant.project)
        if not projects:
            del self._lines[tenant.org]
            self._line.remove(tenant.org)


def within_share(held: int, all_: int, most: int) -> bool:
    """Return whether one tenant may hold `held` if all tenants together, itself included, hold `all_`.

    One tenant alone may hold `most`. There is a quarter more room, which only other tenants get, as in `Shares`.
    """
    return held + _SPARE * all_ <= (_SPARE + 1) * most


class _Line:
    """Names that wait, ordered by how many places they have, the fewest first. Equals are in the order of coming."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        self._by_held: dict[int, dict[str, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, name: str, held: int) -> None:
        if name not in self._held:
            self._held[name] = held
            self._by_held.setdefault(held, {})[name] = None

    def remove(self, name: str) -> None:
        held = self._held.pop(name)
        equals = self._by_held[held]
        del equals[name]
        if not equals:
            del self._by_held[held]

    def move(self, name: str, held: int) -> None:
        """Note that a name has `held` places now, and put it behind the others with as many. Ignore one not waiting."""
        if name in self._held:
            self.remove(name)
            self.add(name, held)

    def in_order(self) -> Iterator[str]:
        for held in sorted(self._by_held):
            yield from self._by_held[held]


def _count(counter: Counter[K], key: K, by: int) -> None:
    counter[key] += by
    if not counter[key]:
        del counter[key]
