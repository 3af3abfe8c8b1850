"""Claim due polls for this process in batches, with all the data that running them needs.

A batch of any size takes the same few statements. Only a few polls ask a connection at a time, and none before its
provider allows it. A poll that finds no place gets a later due time, which is not a failure.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from hairtrigger.domain.errors import Conflict, CredentialsRefused, NotFound, PollFailed
from hairtrigger.domain.ids import new_lease
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.pace import Pace
from hairtrigger.domain.quotas import Refusal, Refuses, begins, code_of, nothing_refused
from hairtrigger.domain.rhythm import next_beat
from hairtrigger.kit.trigger import Provider, Trigger
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.provider_calls import tenant_of
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.polling import connection_limits, polls
from hairtrigger.store.polling.polls import Due, Excluded, Poll
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.setup.triggers import ProjectTrigger
from hairtrigger.store.transaction import Transaction

_LOOKS = 5  # of one claim, for polls of organisations that have places left
_AFTER_A_REFUSAL = timedelta(minutes=10)  # or sooner, if the refusal says when events are taken again


@dataclass(frozen=True)
class Claimed:
    """A poll that this process may run under a lease, with all the data that running it needs."""

    poll: Poll
    lease: UUID
    trigger: ProjectTrigger
    connection: Connection | None
    provider: Provider | None  # None: it does not exist any more

    @property
    def kind(self) -> Kind:
        return self.poll.work

    def definition(self) -> tuple[Provider, Trigger]:
        """Return the provider and the definition of the trigger.

        Raise `NotFound` if they no longer exist, and `CredentialsRefused` or `PollFailed` if the connection is missing.
        """
        trigger, provider = self.trigger, self.provider
        if provider is None:
            raise NotFound(f"There is no provider '{trigger.provider_id}'.")
        if trigger.disconnected:
            raise CredentialsRefused(trigger.disconnected)
        definition = provider.trigger(trigger.trigger_id)
        if definition is None:
            raise NotFound(f"The provider '{trigger.provider_id}' has no trigger '{trigger.trigger_id}'.")
        if provider.fields and definition.needs_connection and self.connection is None:
            raise PollFailed(f"The trigger has no connection to '{provider.name}': it was deleted, or never given.")
        return provider, definition


@dataclass(frozen=True)
class Claims:
    mine: list[Claimed]
    looked_at: int  # number of due polls, with those that got a later due time
    held_back: bool = False  # True if there may be due polls whose organisation or project has all its places


@dataclass(frozen=True, kw_only=True)
class PollLeases:
    store: Store
    clock: Clock
    catalogue: Catalogue
    deadline: timedelta
    places: int  # polls of one connection at a time; listeners are not limited by their connections
    kind: Literal["poll", "listen"] = "poll"  # what is claimed
    beyond: timedelta = timedelta(seconds=30)  # a lease lasts so much longer than the deadline, for storing results
    holder: UUID = field(default_factory=uuid4)  # this process
    refusal: Refuses = nothing_refused
    counter: UseCounter = field(default_factory=UseCounter)
    metrics: Metrics = field(default_factory=lambda: Metrics(on=False))

    @property
    def hold(self) -> timedelta:
        """Return how long a lease lasts. That is longer than a poll may take, so a lease never ends during its poll."""
        return self.deadline + self.beyond

    async def due(self, limit: int, places: Shares | None = None) -> Claims:
        """Claim due polls, the most overdue first, at most `limit`. Beats that were missed are not made up for.

        Each claimed poll takes one of the `places`, which the caller gives back when the poll has ended. A poll whose
        organisation or project may have no more places stays due. Without `places`, their number has no limit.
        """
        taken: list[Tenant] = []
        try:
            async with self.store.transaction() as tx:
                return await self._due(tx, limit, places, taken)
        except BaseException:
            for tenant in taken:
                assert places
                places.leave(tenant)
            raise

    async def _due(self, tx: Transaction, limit: int, places: Shares | None, taken: list[Tenant]) -> Claims:
        now = self.clock.now()
        rows, known, held_back = await self._chosen(tx, now, limit, places, taken)
        if not rows:
            return Claims([], 0, held_back)
        paced = rows if self.kind == "poll" else []
        connected = [held.id for row in paced if (held := known[row.project_trigger_id][1])]
        pace = await connection_limits.of_all(tx, connected)
        before = dict(pace)
        refused = self._refused(rows, known)
        changed = [
            self._postponed(row, refused[row.project_trigger_id], now)
            if row.project_trigger_id in refused
            else self._placed(row, known[row.project_trigger_id][1], pace, now)
            for row in rows
        ]
        await polls.set_due(tx, changed)
        if self.kind == "listen":
            await polls.disconnected(tx, [due.project_trigger_id for due in changed])
        await connection_limits.save(tx, [one for id_, one in pace.items() if one is not before[id_]])
        await self._note_cut_off(tx, rows, known, now)
        await self._note_refused(tx, rows, refused, known, now)
        mine = [(row, due.lease) for row, due in zip(rows, changed, strict=True) if due.lease]
        claims = Claims(await self._claimed(tx, mine, known), len(rows), held_back)
        if self.kind == "poll":
            self.metrics.polls_began(now - row.next_at for row, _ in mine if row.next_at)
        if places:
            for row, due in zip(rows, changed, strict=True):
                if not due.lease:
                    tenant = tenant_of(known[row.project_trigger_id][0])
                    taken.remove(tenant)
                    places.leave(tenant)
        return claims

    async def _chosen(
        self, tx: Transaction, now: datetime, limit: int, places: Shares | None, taken: list[Tenant]
    ) -> tuple[list[Poll], dict[UUID, tuple[ProjectTrigger, Connection | None]], bool]:
        """Return due polls with their triggers and connections by id, and whether others were held back.

        Each of these polls has taken a place, whose tenant is added to `taken`. The most overdue polls may all be of an
        organisation that has all its places. So these are left out, and others are asked for, a few times.
        """
        rows: list[Poll] = []
        known: dict[UUID, tuple[ProjectTrigger, Connection | None]] = {}
        held_back = False
        for _ in range(_LOOKS):
            orgs, projects = places.barred() if places else ((), ())
            held_back = held_back or bool(orgs or projects)
            excluded = Excluded([UUID(org) for org in orgs], projects, [row.project_trigger_id for row in rows])
            found = await polls.due(tx, now, limit - len(rows), excluded, self.kind)
            known |= await triggers.with_connections(tx, [row.project_trigger_id for row in found])
            before = len(rows)
            for row in found:
                tenant = tenant_of(known[row.project_trigger_id][0])
                if places is None:
                    rows.append(row)
                elif places.taken(tenant):
                    taken.append(tenant)
                    rows.append(row)
            if len(rows) - before == len(found):
                break
            held_back = True
        return rows, known, held_back

    async def one(self, tx: Transaction, trigger: ProjectTrigger) -> Claimed | None:
        """Claim the poll of this trigger, even if it is not due and its connection has no place free.

        Return None while another process runs it. Raise `Conflict` while the provider allows no poll, and `QuotaSpent`
        or `DiskFull` if no event of the organisation is taken now.
        """
        if refused := self.refusal(trigger.org_id):
            raise refused
        now = self.clock.now()
        row = await polls.due_or_not(tx, trigger.id, now)
        if not row:
            return None
        known = await triggers.with_connections(tx, [trigger.id])
        held = known[trigger.id][1]
        pace = await connection_limits.of_all(tx, [held.id] if held else [])
        for one in pace.values():
            if one.paused(now):
                raise Conflict(f"The provider asked not to be asked before {one.paused_until}.")
        due = self._leased(row, now)
        assert due.lease
        await polls.set_due(tx, [due])
        await connection_limits.save(tx, [one.entered(due.lease, now, now + self.hold) for one in pace.values()])
        await self._note_cut_off(tx, [row], known, now)
        [claimed] = await self._claimed(tx, [(row, due.lease)], known)
        return claimed

    async def give_back(self, unfinished: Sequence[Claimed]) -> None:
        """Give back polls without a result. They are due at once, and any process may claim them."""
        now = self.clock.now()
        connected = {claimed.connection.id for claimed in unfinished if claimed.connection and self.kind == "poll"}
        async with self.store.transaction() as tx:
            leases = {claimed.lease for claimed in unfinished}
            ours = await polls.release(tx, leases, now)
            pace = await connection_limits.locked(tx, connected)
            await connection_limits.save(tx, [one.left(leases) for one in pace.values()])
            told = [claimed for claimed in unfinished if claimed.lease in ours]
            again = "the trigger is polled again" if self.kind == "poll" else "it is connected again"
            detail = f"It was given back unfinished, and {again} at once."
            cut_off = [Outcome(one.kind, Code.CUT_OFF, now, one.trigger.org_id, one.trigger.id, detail) for one in told]
            await outcomes.record(tx, *cut_off)
        for one in told if self.kind == "poll" else ():
            self.metrics.poll_ended(one.trigger.provider_id, Code.CUT_OFF, sweep=one.poll.sweep)

    async def take_back(self, holders: Collection[UUID] | None) -> int:
        """End the leases of processes that have died, so that their polls are due at once, and return how many.

        None as `holders` stands for all processes.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx:
            rows = await polls.held_by(tx, holders)
            known = await triggers.with_connections(tx, [row.project_trigger_id for row in rows])
            await polls.set_due(tx, [Due(row.project_trigger_id, now if row.next_at else None) for row in rows])
            connected = {held.id for _, held in known.values() if held}
            pace = await connection_limits.locked(tx, connected)
            leases = {row.lease for row in rows if row.lease}
            await connection_limits.save(tx, [one.left(leases) for one in pace.values()])
            await self._note_cut_off(tx, rows, known, now)
        return len(rows)

    def _placed(self, row: Poll, held: Connection | None, paces: dict[UUID, Pace], now: datetime) -> Due:
        """Return the poll with a lease, or with a later due time behind others of its connection.

        The pace of the connection in `paces` is replaced by the changed one.
        """
        if held is None or self.kind == "listen":
            return self._leased(row, now)
        pace = paces[held.id]
        if pace.has_room(now, self.places):
            due = self._leased(row, now)
            assert due.lease
            paces[held.id] = pace.entered(due.lease, now, now + self.hold)
            return due
        paces[held.id], turn = pace.queued(now, self.places)
        return Due(row.project_trigger_id, turn)

    def _refused(
        self, rows: Sequence[Poll], known: dict[UUID, tuple[ProjectTrigger, Connection | None]]
    ) -> dict[UUID, Refusal]:
        """Return why polls may not run now, by their triggers' ids.

        Polls of organisations whose events are taken are left out.
        """
        reasons = {org_id: self.refusal(org_id) for org_id in {trigger.org_id for trigger, _ in known.values()}}
        ids = (row.project_trigger_id for row in rows)
        return {id_: refusal for id_ in ids if (refusal := reasons[known[id_][0].org_id])}

    def _postponed(self, row: Poll, refused: Refusal, now: datetime) -> Due:
        """Return the poll with a later due time. Its cursor stays, so the next poll finds what comes until then."""
        wait = min(refused.retry_after, _AFTER_A_REFUSAL)
        return Due(row.project_trigger_id, next_beat(row.project_trigger_id, row.every, now + wait))

    async def _note_refused(
        self,
        tx: Transaction,
        rows: Sequence[Poll],
        refused: dict[UUID, Refusal],
        known: dict[UUID, tuple[ProjectTrigger, Connection | None]],
        now: datetime,
    ) -> None:
        told = [
            Outcome(row.work, code_of(refusal), now, known[id_][0].org_id, id_, refusal.message)
            for row in rows
            if (refusal := refused.get(id_ := row.project_trigger_id))
            and begins(refusal, row.next_at or now, row.every)
        ]
        await outcomes.record(tx, *told)
        self.counter.outcomes(told)

    def _leased(self, row: Poll, now: datetime) -> Due:
        """Return the poll with a lease and its next due time.

        That is its next beat, or the end of the lease if that is earlier, so that another process polls if this one
        dies.
        """
        until = now + self.hold
        return Due(
            row.project_trigger_id,
            until if row.kind == "listen" else min(next_beat(row.project_trigger_id, row.every, now), until),
            new_lease(self.holder),
            until,
        )

    async def _note_cut_off(
        self,
        tx: Transaction,
        rows: Sequence[Poll],
        known: dict[UUID, tuple[ProjectTrigger, Connection | None]],
        now: datetime,
    ) -> None:
        """Record an outcome for each of these leases that ran out or that a dead process holds.

        A process gives a lease back when a poll ends, and when the process stops. Each other lease belongs to a process
        that could not do so, and no other code records that.
        """
        noticed = f"That was noticed at {now:%Y-%m-%d %H:%M:%S} UTC, and"
        cut_off = []
        for row in rows:
            if row.lease and row.leased_until:
                trigger, listens = known[row.project_trigger_id][0], row.kind == "listen"
                at = now if listens else row.leased_until - self.hold
                detail = f"{noticed} {'it is connected again' if listens else 'the trigger is polled again'}."
                cut_off.append(Outcome(row.work, Code.CUT_OFF, at, trigger.org_id, trigger.id, detail))
        await outcomes.record(tx, *cut_off)

    async def _claimed(
        self,
        tx: Transaction,
        leased: Sequence[tuple[Poll, UUID]],
        known: dict[UUID, tuple[ProjectTrigger, Connection | None]],
    ) -> list[Claimed]:
        providers = await self.catalogue.providers_of(tx, [known[row.project_trigger_id][0] for row, _ in leased])
        return [
            Claimed(row, lease, *known[row.project_trigger_id], providers[row.project_trigger_id])
            for row, lease in leased
        ]
