"""Pause projects and triggers. Their deliveries are suspended until a user resumes, releases or discards them."""

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
    """Pauses projects and project triggers, and lets their suspended deliveries go on.

    In all methods, `which` is the id of a project (a `str`) or of a project trigger (a `UUID`). They raise `NotFound`
    if the caller's organisation has none with this id.
    """

    store: Store
    clock: Clock
    work: Wake

    async def is_paused(self, caller: Caller, which: str | UUID) -> bool:
        async with self.store.transaction() as tx:
            return await pauses.is_paused(tx, await _own(tx, caller, which))

    async def pause(self, caller: Caller, which: str | UUID) -> None:
        """Suspend the deliveries of a project or trigger, present and new, until the pause ends.

        Deliveries under way finish. Webhooks, polls and schedules go on, and the deliveries of their events are
        suspended.
        """
        async with self.store.transaction() as tx:
            await pauses.pause(tx, await _own(tx, caller, which), str(caller.id), self.clock.now())

    async def resume(self, caller: Caller, which: str | UUID) -> None:
        async with self.store.transaction() as tx:
            await pauses.resume(tx, await _own(tx, caller, which))
        self.work.set()

    async def release(
        self, caller: Caller, which: str | UUID, limit: int, delivery_ids: Sequence[UUID] | None = None
    ) -> int:
        """Let the oldest suspended deliveries go, at most `limit`, and return how many went. The pause goes on.

        If `delivery_ids` are given, only these are released.
        """
        async with self.store.transaction() as tx:
            count = await pauses.release(tx, await _own(tx, caller, which), limit, delivery_ids)
        self.work.set()
        return count

    async def discard(
        self, caller: Caller, which: str | UUID, limit: int, delivery_ids: Sequence[UUID] | None = None
    ) -> int:
        """End the oldest suspended deliveries as dead letters, at most `limit`, and return how many ended.

        If `delivery_ids` are given, only these are ended. Their events can be replayed.
        """
        reason = f"Discarded by {caller.id} while it was suspended."
        async with self.store.transaction() as tx:
            what = await _own(tx, caller, which)
            count = await pauses.discard(tx, what, limit, delivery_ids, caller.org_id, reason, self.clock.now())
        self.work.set()
        return count

    async def settle(self) -> None:
        """Put the deliveries of pauses that have ended back on the queue, and end suspended deliveries of deleted
        triggers.

        This runs in the background, so that a user who resumes or deletes does not wait for many deliveries to move.
        """
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
