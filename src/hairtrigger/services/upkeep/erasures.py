"""Delete projects and organisations with all that is theirs, a batch at a time, while the service goes on.

A deletion begins with one transaction, and then any process works on it. Triggers go first, and their webhooks are
handed to the removals. What was under way at that moment may still leave rows, so everything is looked through a second
time, later than any request, poll or attempt can end.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import structlog

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, HairtriggerError
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import repeat
from hairtrigger.services.setup.triggers import Triggers
from hairtrigger.store.database import Store
from hairtrigger.store.setup import projects, triggers
from hairtrigger.store.transaction import Transaction
from hairtrigger.store.upkeep import erasures
from hairtrigger.store.upkeep.erasures import STEPS, Contents, Erasure, Found

log = structlog.get_logger()

AGAIN = timedelta(minutes=2)  # longer than what was under way at the first pass can take to leave a row
_WEBHOOKS = timedelta(seconds=30)  # between two looks for webhooks that are still to be removed
_IDLE = timedelta(seconds=1)
_BETWEEN_BATCHES = timedelta(milliseconds=20)
_COUNTING = timedelta(milliseconds=500)


@dataclass(frozen=True, kw_only=True)
class Erasures:
    store: Store
    clock: Clock
    triggers: Triggers

    async def preview(self, caller: Caller, project_id: str) -> Contents:
        """Return what the deletion of the project would delete. Raise `NoSuchProject` if there is no such project."""
        async with self.store.transaction() as tx:
            await projects.existing(tx, caller.org_id, project_id)
            return await erasures.contents(tx, caller.org_id, project_id, _COUNTING)

    async def delete_project(self, caller: Caller, project_id: str, *, with_enabled_triggers: bool = False) -> None:
        """Delete a project and its triggers, and let all that came of them be deleted in the background.

        Raise `Conflict` if it has enabled triggers, unless `with_enabled_triggers` is set.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx:
            await projects.existing(tx, caller.org_id, project_id)
            found = await erasures.defined(tx, caller.org_id, project_id)
            if found.enabled_triggers and not with_enabled_triggers:
                raise Conflict(f"Disable the project's {found.enabled_triggers} enabled triggers first.")
            if await erasures.lock(tx, project_id) is None:
                await erasures.add(
                    tx,
                    Erasure(
                        id=project_id,
                        org_id=caller.org_id,
                        project_id=project_id,
                        requested_by=str(caller.id),
                        requested_at=now,
                        step="definitions",
                        run_at=now,
                    ),
                )
        while await self._defines(project_id):
            pass

    async def _defines(self, id_: str) -> bool:
        """Delete a batch of definitions, and return whether there are more."""
        async with self.store.transaction() as tx:
            of = await erasures.lock(tx, id_)
            if of is None or of.step != "definitions":
                return False
            await self._go_on(tx, of)
        return True

    async def run(self) -> None:
        await repeat("deletions", self._next)

    async def _next(self) -> timedelta:
        return _BETWEEN_BATCHES if await self.run_due() else _IDLE

    async def run_due(self) -> bool:
        """Delete a batch of the deletion that has been due longest, and return whether one was due."""
        async with self.store.transaction() as tx:
            of = await erasures.due(tx, self.clock.now())
            if of is None:
                return False
            await self._go_on(tx, of)
        return True

    async def _go_on(self, tx: Transaction, of: Erasure) -> None:
        changed = await self._batch(tx, of)
        if changed is None:
            await erasures.remove(tx, of)
            log.info("deleted with all that was its own", project=of.project_id, organization=str(of.org_id))
        else:  # other deletions have their turn, unless this one waits for something
            now = self.clock.now()
            await erasures.save(tx, replace(changed, run_at=max(now, changed.run_at)))

    async def _batch(self, tx: Transaction, of: Erasure) -> Erasure | None:
        """Delete a batch, and return the deletion as it stands then, or None if it has ended."""
        whole = of.project_id is None
        match of.step:
            case "definitions":
                return await self._definitions(tx, of)
            case "queue":
                return of if await erasures.forget_messages(tx, of) else _following(of)
            case "events":
                return _moved(of, await erasures.forget_events(tx, of))
            case "replays":
                return _moved(of, await erasures.forget_replays(tx, of))
            case "dead":
                return of if whole and await erasures.forget_dead(tx, of) else _following(of)
            case "attempts":
                return await self._pages(tx, of, "attempt") if whole else _following(of)
            case "outcomes":
                if whole:
                    return await self._pages(tx, of, "outcome")
                return of if await erasures.forget_outcomes(tx, of) else _following(of)
            case "keys":
                return of if await erasures.forget_keys(tx, of) else _following(of)
            case "told":  # what is told of a whole organisation goes with its row
                return of if not whole and await erasures.forget_told(tx, of) else _following(of)
            case "use":
                if whole:
                    await erasures.forget_use(tx, of)
                return _following(of)
            case "webhooks":
                return await self._webhooks(tx, of)
            case "end":
                if whole:
                    await erasures.forget_organization(tx, of)
                return None

    async def _definitions(self, tx: Transaction, of: Erasure) -> Erasure:
        if ids := await erasures.next_triggers(tx, of):
            for id_ in ids:
                await self._delete_trigger(tx, of, id_)
            await erasures.forget_pauses(tx, [str(id_) for id_ in ids])
            return replace(of, trigger_ids=[*of.trigger_ids, *ids])
        if project_ids := await erasures.next_projects(tx, of):
            return replace(of, project_ids=[*of.project_ids, *project_ids])
        if of.project_id is not None:
            await erasures.forget_replay_jobs(tx, of)
            return _following(of)
        return of if await erasures.forget_defined(tx, of) else _following(of)

    async def _delete_trigger(self, tx: Transaction, of: Erasure, id_: UUID) -> None:
        trigger = await triggers.existing(tx, of.org_id, id_, for_update=True)
        if trigger.enabled:
            try:
                await self.triggers.switch_off(tx, trigger, None)
            except HairtriggerError as error:  # its secrets can't be opened, so nothing can be asked of its provider
                log.warning("a webhook stays at its provider", project_trigger_id=str(id_), reason=error.message)
        await triggers.remove(tx, id_)

    async def _pages(self, tx: Transaction, of: Erasure, table: str) -> Erasure:
        page, trigger_ids = await erasures.forget_pages(tx, of, table)
        known = _with(of, trigger_ids)
        return replace(known, position=str(page)) if page else _following(known)

    async def _webhooks(self, tx: Transaction, of: Erasure) -> Erasure:
        """Put the deletion off while webhooks are still to be removed. After that, begin its second pass, or end the
        second pass.
        """
        now = self.clock.now()
        if await erasures.webhooks_left(tx, of):
            return replace(of, run_at=now + _WEBHOOKS)
        return _following(of) if of.again else replace(of, step="definitions", again=True, run_at=now + AGAIN)


def _following(of: Erasure) -> Erasure:
    return replace(of, step=STEPS[STEPS.index(of.step) + 1], position=None)


def _moved(of: Erasure, found: Found) -> Erasure:
    known = _with(of, found.trigger_ids)
    return _following(known) if found.position is None else replace(known, position=str(found.position))


def _with(of: Erasure, trigger_ids: Collection[UUID]) -> Erasure:
    new = sorted(set(trigger_ids) - set(of.trigger_ids))
    return replace(of, trigger_ids=[*of.trigger_ids, *new]) if new else of
