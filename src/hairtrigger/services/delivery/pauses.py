"""Pausing a project or a trigger: what happens meanwhile is kept and held until it is released or discarded."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.wake import Wake
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import pauses
from hairtrigger.store.delivery.pauses import Paused
from hairtrigger.store.setup import projects, triggers
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """`which` is a project's id, or a project trigger's."""

    store: Store
    clock: Clock
    work: Wake

    async def is_paused(self, caller: Caller, which: str | UUID) -> bool:
        async with self.store.transaction() as tx:
            return await pauses.is_paused(tx, await _own(tx, caller, which))

    async def pause(self, caller: Caller, which: str | UUID) -> None:
        """Deliveries under way finish; webhooks, polls and schedules go on, and what they bring is held."""
        async with self.store.transaction() as tx:
            await pauses.pause(tx, await _own(tx, caller, which))

    async def resume(self, caller: Caller, which: str | UUID) -> None:
        async with self.store.transaction() as tx:
            await pauses.resume(tx, await _own(tx, caller, which))
        self.work.set()

    async def release(
        self, caller: Caller, which: str | UUID, limit: int, delivery_ids: Sequence[UUID] | None = None
    ) -> int:
        """Delivers the oldest `limit` of what is held, of these ids if they are given; the pause goes on."""
        async with self.store.transaction() as tx:
            count = await pauses.release(tx, await _own(tx, caller, which), limit, delivery_ids)
        self.work.set()
        return count

    async def discard(
        self, caller: Caller, which: str | UUID, limit: int, delivery_ids: Sequence[UUID] | None = None
    ) -> int:
        """Ends the oldest `limit` of what is held, of these ids if they are given. Their events can be replayed."""
        reason = f"Discarded by {caller.id} while it was suspended."
        async with self.store.transaction() as tx:
            what = await _own(tx, caller, which)
            count = await pauses.discard(tx, what, limit, delivery_ids, caller.org_id, reason, self.clock.now())
        self.work.set()
        return count

    async def settle(self) -> None:
        """The clock's part: whoever resumed much, or deleted it, was not made to wait for all of it."""
        moved = pauses.PORTION
        while moved >= pauses.PORTION:
            async with self.store.transaction() as tx:
                moved = await pauses.settle(tx, self.clock.now())
            if moved:
                self.work.set()


async def _own(tx: Transaction, caller: Caller, which: str | UUID) -> Paused:
    if isinstance(which, UUID):
        trigger = await triggers.existing(tx, caller.org_id, which)
        return Paused(trigger.project_id, trigger.id)
    await projects.existing(tx, caller.org_id, which)
    return Paused(which)
