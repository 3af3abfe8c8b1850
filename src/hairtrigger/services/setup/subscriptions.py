"""Keep webhooks at their providers as they should be: make them, renew them before they end, and make them again.

A row of `subscription` says when a webhook is renewed or looked at next. Any process claims it, so no process has to
remember it. What is found wrong is mended by making the webhook again, under the same plan of its removal as at first:
a crash in between leaves no webhook that the service does not know. Then the trigger's sweep is due, which finds what
the provider did not send meanwhile.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from hairtrigger.domain.errors import (
    Conflict,
    CredentialsRefused,
    HairtriggerError,
    MissingAtProvider,
    ProviderFailed,
    Unavailable,
    sentence,
)
from hairtrigger.domain.ids import parsed_id
from hairtrigger.domain.operational import Notice, OperationalType
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.rhythm import AFTER_A_REFUSAL, LONGEST_WAIT, next_beat
from hairtrigger.domain.webhook_address import webhook_url
from hairtrigger.kit.trigger import (
    Lists,
    Provider,
    Question,
    Registered,
    Registration,
    Renews,
    Subscription,
    Webhook,
    sweep_of,
)
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.shares import Shares
from hairtrigger.platform.vault import new_signing_secret
from hairtrigger.platform.wake import Wake
from hairtrigger.services.catalogue import Catalogue, secret_params
from hairtrigger.services.provider_calls import Credentials, ProviderCalls, tenant_of
from hairtrigger.services.secrets import Secrets, SigningSecret
from hairtrigger.store import notices
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.polling import connection_limits, polls
from hairtrigger.store.polling.polls import Excluded
from hairtrigger.store.setup import subscriptions, triggers
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.setup.subscriptions import StoredSubscription
from hairtrigger.store.setup.triggers import ProjectTrigger, Removal
from hairtrigger.store.transaction import Transaction

log = structlog.get_logger()

LOOK = timedelta(hours=6)  # between two looks at what the provider has
RENEWED, LAST = 0.5, 0.95  # of the life of a subscription: it is renewed after the first, with retries until the second
_OVERLAP = timedelta(days=1)  # for which a signing secret stays valid when a provider chooses another one
_ENABLING = timedelta(minutes=5)  # a registration that is not committed by then is removed again
_DEADLINE = timedelta(minutes=2)  # for all calls of one look
_HOLD = timedelta(minutes=3)
_FIRST_RETRY = timedelta(minutes=1)  # doubles with each failure, up to the time between two looks
_BUSY = timedelta(seconds=5)  # until the next try while the connection is asked about another trigger
_PLACES = 20  # looks under way at a time, of one project alone
_MOST_ADOPTED = 500
_MOST_ORPHANS = 100  # of one look


@dataclass(frozen=True)
class Made:
    """A webhook that was made at its provider and is not stored yet."""

    remote: dict[str, Any]
    secrets: bytes = field(repr=False)
    planned: Removal = field(repr=False)
    expires_at: datetime | None


@dataclass(frozen=True)
class _Look:
    """One look at a trigger's webhook, with what the calls need."""

    claimed: StoredSubscription
    trigger: ProjectTrigger
    connection: Connection | None
    provider: Provider
    definition: Webhook[Any]
    subscription: Subscription[Any]
    question: Question[Any]
    held: Credentials = field(repr=False)
    unfinished: bool  # an attempt to make it again has not ended

    @property
    def gap(self) -> str:
        """Say what becomes of the events that the provider did not send."""
        if self.definition.sweep:
            return "What it did not send meanwhile is asked for now."
        return "What happened meanwhile can't be asked for: this provider has no list that the service reads."


@dataclass(kw_only=True)
class Subscriptions:
    store: Store
    clock: Clock
    catalogue: Catalogue
    calls: ProviderCalls
    secrets: Secrets
    public_url: str
    places: Shares = field(default_factory=lambda: Shares.beyond(_PLACES), repr=False)
    _under_way: dict[asyncio.Task[None], tuple[UUID, UUID | None]] = field(default_factory=dict, init=False)
    _left: Wake = field(default_factory=Wake, init=False)

    # -- making

    async def make(
        self,
        definition: Webhook[Any],
        trigger: ProjectTrigger,
        question: Question[Any],
        held: Credentials,
        *,
        keep_secret: bool,
    ) -> Made:
        """Make the trigger's webhook at its provider. The caller stores it and cancels its planned removal.

        Raise `Conflict` if the trigger was changed, or another process makes or removes the webhook.
        """
        assert definition.subscription
        planned = self.removal(trigger, held, question.asked_at + _ENABLING)
        await self._plan(trigger, planned, question.asked_at)
        live = self.secrets.live(trigger, question.asked_at) if keep_secret else []
        secret = live[0] if live else new_signing_secret()
        try:
            made = await definition.subscription.create(question, webhook_url(self.public_url, trigger.id), secret)
            sealed = self._sealed(trigger, made.secret, live, question.asked_at)
        except HairtriggerError:  # the webhook may have been made in spite of the error, so its removal is due
            async with self.store.transaction() as tx:
                await triggers.postpone_removal(tx, planned, self.clock.now())
            raise
        return Made(dict(made.remote), sealed, planned, made.expires_at)

    async def _plan(self, trigger: ProjectTrigger, planned: Removal, now: datetime) -> None:
        """Plan the removal of the webhook before it is made, so that no other process touches it."""
        async with self.store.transaction() as tx:
            current = await triggers.get(tx, trigger.org_id, trigger.id, for_update=True)
            if not current or current.generation != trigger.generation:
                raise Conflict("The trigger was changed meanwhile. Look at it again.")
            if not await triggers.plan_removal(tx, planned, now, planned.run_at):
                raise Conflict("The trigger's webhook is being made or removed just now. Try again in a moment.")

    def _sealed(self, trigger: ProjectTrigger, secret: str, live: Sequence[str], now: datetime) -> bytes:
        if secret in live and trigger.secrets is not None:
            return trigger.secrets
        if live:  # the provider has chosen another one; requests on their way are signed with the one before
            return self.secrets.rotated(trigger, secret, now, _OVERLAP)
        return self.secrets.seal_for_trigger(trigger.id, [SigningSecret(secret)])

    def removal(self, trigger: ProjectTrigger, held: Credentials, run_at: datetime) -> Removal:
        return Removal(
            project_trigger_id=trigger.id,
            org_id=trigger.org_id,
            provider_id=trigger.provider_id,
            trigger_id=trigger.trigger_id,
            config=trigger.config,
            secrets=self.secrets.seal_for_removal(trigger.id, held.held),
            run_at=run_at,
            failures=0,
            connection_id=held.connection.id if held.connection else None,
            way=held.way,
            remote=trigger.webhook_data,
        )

    async def begin(
        self, tx: Transaction, definition: Webhook[Any], trigger_id: UUID, expires_at: datetime | None
    ) -> None:
        """Look after a webhook that was made just now, if it has an end or its provider can be asked for it."""
        now = self.clock.now()
        new = StoredSubscription(trigger_id, now, expires_at, now, now)
        if (next_at := _next_at(definition, new, now)) is None:
            await subscriptions.end(tx, trigger_id)
        else:
            await subscriptions.put(tx, replace(new, next_at=next_at))

    async def adopt(self) -> int:
        """Look after triggers that were enabled by an earlier version, and return how many were found."""
        looked_at: list[tuple[str, str]] = []
        swept: list[tuple[str, str, int]] = []
        for provider in self.catalogue.providers.values():
            for one in provider.triggers:
                if isinstance(one, Webhook) and _can_list(one.subscription):
                    looked_at.append((provider.id, one.id))
                if sweep := sweep_of(one):
                    swept.append((provider.id, one.id, int(sweep.every.total_seconds())))
        now, found = self.clock.now(), 0
        more = True
        while more:
            async with self.store.transaction() as tx:
                count = await subscriptions.adopt(tx, now, looked_at, _MOST_ADOPTED)
                count += await subscriptions.adopt_sweeps(tx, now, swept, _MOST_ADOPTED)
            found += count
            more = count >= _MOST_ADOPTED
        return found

    # -- looking

    async def start_due(self, tasks: asyncio.TaskGroup) -> None:
        """Claim due subscriptions and start to look at them, as far as their organisations may have places."""
        for claimed, tenant, connection_id in await self._claimed():
            task = tasks.create_task(self._look(claimed))
            self._under_way[task] = claimed.project_trigger_id, connection_id

            def gone(ended: asyncio.Task[None], tenant: Any = tenant) -> None:
                del self._under_way[ended]
                self.places.leave(tenant)
                self._left.set()

            task.add_done_callback(gone)

    async def run_due(self) -> int:
        """Look at the subscriptions that are due, wait until all have ended, and return how many."""
        async with asyncio.TaskGroup() as tasks:
            await self.start_due(tasks)
            return len(self._under_way)

    async def drain(self) -> None:
        """Give back the looks under way: each is due at once, for any process."""
        held = {task: id_ for task, (id_, _) in self._under_way.items()}
        for task in held:
            task.cancel()
        if held:
            await asyncio.wait(held)
            with suppress(Unavailable):
                async with self.store.transaction() as tx:
                    await subscriptions.release(tx, self.clock.now(), list(held.values()))

    async def _claimed(self) -> list[tuple[StoredSubscription, Any, UUID | None]]:
        """Claim due subscriptions that may have a place. One connection is asked about one trigger at a time."""
        if self.places.held >= self.places.places:
            return []
        now = self.clock.now()
        orgs, projects = self.places.barred()
        asked = {id_ for _, id_ in self._under_way.values() if id_}
        mine = []
        async with self.store.transaction() as tx:
            excluded = Excluded([UUID(org) for org in orgs], projects)
            found = await subscriptions.claim(tx, now, self.places.places - self.places.held, _HOLD, excluded)
            known = await triggers.with_connections(tx, [one.project_trigger_id for one in found])
            paces = await connection_limits.locked(tx, {held.id for _, held in known.values() if held} if found else ())
            for one in found:
                trigger, held = known[one.project_trigger_id]
                pace = paces.get(held.id) if held else None
                if pace and pace.paused(now) and pace.paused_until:
                    await subscriptions.save(tx, one, next_at=pace.paused_until)
                elif (held and held.id in asked) or not self.places.taken(tenant_of(trigger)):
                    await subscriptions.save(tx, one, next_at=now + _BUSY)
                else:
                    mine.append((one, tenant_of(trigger), held.id if held else None))
                    asked |= {held.id} if held else set()
        return mine

    async def _look(self, claimed: StoredSubscription) -> None:
        try:
            await self._looked(claimed)
        except Unavailable:
            log.warning("database away, a webhook will be looked at again", id=str(claimed.project_trigger_id))
        except Exception:
            log.exception("a look at a webhook broke", project_trigger_id=str(claimed.project_trigger_id))
            with suppress(Unavailable):
                broken = ProviderFailed("The look at it broke inside the service; see its log.")
                await self._failed(claimed, broken)

    async def _looked(self, claimed: StoredSubscription) -> None:
        try:
            async with self.store.transaction() as tx:
                look = await self._prepared(tx, claimed)
            if look is None:
                return
            try:
                async with self.calls.marking(look.held, success=True), asyncio.timeout(_DEADLINE.total_seconds()):
                    await self._cared_for(look)
            finally:
                await self._keep_pace(look)
        except TimeoutError:
            await self._failed(claimed, ProviderFailed(f"The look at it took longer than {_DEADLINE}."))
        except Unavailable:
            raise
        except HairtriggerError as error:
            await self._failed(claimed, error)

    async def _prepared(self, tx: Transaction, claimed: StoredSubscription) -> _Look | None:
        """Return the look, or None if there is nothing to look after any more."""
        found = await triggers.with_connections(tx, [claimed.project_trigger_id])
        trigger, connection = found.get(claimed.project_trigger_id, (None, None))
        provider = self.catalogue.native(trigger.provider_id) if trigger else None
        definition = provider.trigger(trigger.trigger_id) if provider and trigger else None
        if (
            not trigger
            or not trigger.enabled
            or not provider
            or not isinstance(definition, Webhook)
            or not definition.subscription
        ):
            await subscriptions.end(tx, claimed.project_trigger_id)
            return None
        if trigger.disconnected:
            raise CredentialsRefused(trigger.disconnected)
        held = self.calls.credentials_in(connection)
        question = self.calls.question(
            *(provider, definition, tenant_of(trigger)),
            self.secrets.params(trigger.id, trigger.config),
            held,
            enabled_at=trigger.enabled_at,
            remote=trigger.webhook_data,
        )
        unfinished = bool(await triggers.planned_removals(tx, [trigger.id]))
        return _Look(
            *(claimed, trigger, connection, provider, definition, definition.subscription, question, held, unfinished)
        )

    async def _cared_for(self, look: _Look) -> None:
        now, one, name = self.clock.now(), look.claimed, look.provider.name
        expires_at = one.expires_at
        fault = "An attempt to make it again did not end." if look.unfinished else ""
        if isinstance(look.subscription, Lists) and not fault:
            listed = await look.subscription.list(look.question)
            url = webhook_url(self.public_url, look.trigger.id)
            await self._plan_orphans(look, [found.url for found in listed if found.url != url])
            ours = [found for found in listed if found.url == url]
            if not ours and not one.listed:
                unknown = f"{name} lists no such webhook, although one was made {_at(one.registered_at)}."
                raise ProviderFailed(f"{unknown} Whether it is there can't be seen.")
            fault = _fault(name, ours)
            expires_at = next((found.expires_at for found in ours if found.expires_at), expires_at)
        elif one.lost_at and not fault:
            fault = one.error or f"{name} no longer has the subscription."
        current = replace(one, expires_at=expires_at, listed=True)
        renew_at = current.after(RENEWED)
        if not fault and renew_at and renew_at <= now:
            if not isinstance(look.subscription, Renews):
                await self._made_again(look, "", Code.RENEWED)
                return
            fault = await self._renewed(look, current)
            if not fault:
                return
        if fault:
            await self._made_again(look, fault, Code.REMADE)
            return
        async with self.store.transaction() as tx:
            await self._saved(tx, look, current)
            if one.lost_at:
                await self._note(tx, look.trigger, Code.RENEWED, f"{name} has it again, as it should be.")

    async def _renewed(self, look: _Look, current: StoredSubscription) -> str:
        """Renew the subscription, or return why it has to be made again."""
        assert isinstance(look.subscription, Renews)
        trigger, now = look.trigger, self.clock.now()
        live = self.secrets.live(trigger, now)
        before = Registration(trigger.webhook_data or {}, live[0] if live else "", current.expires_at)
        last = current.after(LAST)
        try:
            made = await look.subscription.renew(look.question, webhook_url(self.public_url, trigger.id), before)
        except MissingAtProvider:
            return f"{look.provider.name} no longer had the subscription."
        except CredentialsRefused:
            raise
        except ProviderFailed as error:
            if last and now >= last:
                return f"The subscription could not be renewed: {sentence(error)}"
            raise
        sealed = self._sealed(trigger, made.secret, live, now) if made.secret else trigger.secrets
        async with self.store.transaction() as tx:
            if await triggers.save_registration(tx, trigger, dict(made.remote), sealed, now):
                renewed = replace(current, registered_at=now, expires_at=made.expires_at)
                await self._saved(tx, look, renewed)
                await self._note(tx, trigger, Code.RENEWED, _until(made.expires_at))
            else:
                await subscriptions.save(tx, look.claimed, next_at=now + _FIRST_RETRY)
        return ""

    async def _made_again(self, look: _Look, fault: str, code: Code) -> None:
        """Make the webhook again and store it, or plan its removal if the trigger was changed meanwhile."""
        trigger, one = look.trigger, look.claimed
        try:
            made = await self.make(look.definition, trigger, look.question, look.held, keep_secret=True)
        except ProviderFailed as error:
            await self._failed(one, error, fault)
            return
        now = self.clock.now()
        try:
            async with self.store.transaction() as tx:
                if not await triggers.save_registration(tx, trigger, made.remote, made.secrets, now):
                    raise Conflict("The trigger was changed while its webhook was made again.")
                if not await triggers.cancel_removal(tx, made.planned):
                    raise Conflict("Making the webhook again took so long that it has been taken down.")
                # A webhook that is made again and again, because a list does not show it, would be worse than none.
                fresh = StoredSubscription(trigger.id, now, made.expires_at, one.next_at, now, listed=False)
                await self._saved(tx, look, fresh)
                if look.definition.sweep:
                    await polls.interrupt(tx, triggers.is_one_of([trigger.id]), again_at=now)
                await self._tell_made(tx, look, fault, code, made.expires_at)
        except Conflict:
            async with self.store.transaction() as tx:
                await triggers.postpone_removal(tx, made.planned, now)
            raise

    async def _tell_made(
        self, tx: Transaction, look: _Look, fault: str, code: Code, expires_at: datetime | None
    ) -> None:
        if code is Code.RENEWED:
            await self._note(tx, look.trigger, code, _until(expires_at))
            return
        trigger, now, seen_at = look.trigger, self.clock.now(), look.claimed.seen_at
        said = (
            f"{fault} It was last seen as it should be at {_at(seen_at)}, and was made again at {_at(now)}. {look.gap}"
        )
        await self._note(tx, trigger, code, said)
        told = Notice(
            trigger.org_id,
            OperationalType.SUBSCRIPTION_RENEWED,
            str(trigger.id),
            now,
            said,
            trigger.id,
            details={"provider_id": trigger.provider_id, "last_seen_at": seen_at.isoformat()},
        )
        await notices.note(tx, told)

    async def _plan_orphans(self, look: _Look, urls: Sequence[str]) -> None:
        """Plan the removal of webhooks that send to this service and that no enabled trigger has.

        A webhook that leads to an existing trigger of another provider was entered by a user, so it stays. So do those
        that are being made or removed just now.
        """
        prefix = webhook_url(self.public_url, look.trigger.id).removesuffix(str(look.trigger.id))
        named = {id_ for url in urls if url.startswith(prefix) and (id_ := parsed_id(url.removeprefix(prefix)))}
        ids = sorted(named)[:_MOST_ORPHANS]
        if not ids:
            return
        now, trigger = self.clock.now(), look.trigger
        async with self.store.transaction() as tx:
            known = await triggers.by_ids(tx, ids)
            planned = await triggers.planned_removals(tx, ids)
            for id_ in ids:
                other = known.get(id_)
                if id_ in planned or (other and (other.enabled or other.provider_id != trigger.provider_id)):
                    continue
                params = self.secrets.params(trigger.id, trigger.config)
                config = self.secrets.sealed_params(id_, params, secret_params(look.definition))
                orphan = replace(trigger, id=id_, config=config, webhook_data=None)
                await triggers.plan_removal(tx, self.removal(orphan, look.held, now), now)

    # -- storing

    async def _saved(self, tx: Transaction, look: _Look, current: StoredSubscription) -> None:
        """Store that the webhook is as it should be."""
        now = self.clock.now()
        well = replace(current, seen_at=now, failures=0, error=None, failing_since=None, lost_at=None)
        next_at = _next_at(look.definition, well, now)
        if next_at is None:
            await subscriptions.end(tx, look.trigger.id)
        else:
            await subscriptions.save(tx, look.claimed, **{**vars(well), "next_at": next_at})

    async def _failed(self, one: StoredSubscription, error: HairtriggerError, fault: str = "") -> None:
        """Store that the look failed, or that the webhook has the given fault and could not be made again."""
        now = self.clock.now()
        if isinstance(error, Conflict):
            async with self.store.transaction() as tx:
                await subscriptions.save(tx, one, next_at=now + _FIRST_RETRY)
            return
        ended = one.expires_at is not None and one.expires_at <= now
        if ended and not fault:
            fault = f"Its subscription at the provider ended at {_at(one.expires_at)}."
        said = f"{fault} It could not be made again: {sentence(error)}" if fault else sentence(error)
        async with self.store.transaction() as tx:
            changed = await subscriptions.save(
                tx,
                one,
                next_at=now + _wait(one, error, now),
                failures=one.failures + 1,
                error=said,
                failing_since=one.failing_since or now,
                lost_at=one.lost_at or now if fault else None,
            )
            known = await triggers.by_ids(tx, [one.project_trigger_id])
            if changed and said != one.error and (trigger := known.get(one.project_trigger_id)):
                await self._note(tx, trigger, Code.LOST if fault else Code.UNCHECKED, said)

    async def _keep_pace(self, look: _Look) -> None:
        """Make the connection's polls wait, too, if the provider asked to be left alone."""
        wait = look.question.api.quota.wait
        if not wait or not look.connection:
            return
        async with self.store.transaction() as tx:
            paces = await connection_limits.of_all(tx, [look.connection.id])
            until = self.clock.now() + min(wait, LONGEST_WAIT)
            await connection_limits.save(tx, [one.left((), until) for one in paces.values()])

    async def _note(self, tx: Transaction, trigger: ProjectTrigger, code: Code, detail: str) -> None:
        one = Outcome(Kind.REGISTRATION, code, self.clock.now(), trigger.org_id, trigger.id, detail)
        await outcomes.record(tx, one)


def _fault(name: str, ours: Sequence[Registered]) -> str:
    """Return what is wrong with the webhooks that the provider has for a trigger, in a sentence, or an empty text."""
    if not ours:
        return f"{name} no longer had its webhook."
    if len(ours) > 1:
        return f"{name} had {len(ours)} webhooks with its address."
    if not ours[0].enabled:
        return f"{name} had switched its webhook off.{f' {ours[0].why}' if ours[0].why else ''}"
    return ""


def _next_at(definition: Webhook[Any], one: StoredSubscription, now: datetime) -> datetime | None:
    """Return when the subscription is renewed or looked at next, or None if neither is ever needed."""
    times = [next_beat(one.project_trigger_id, LOOK, now)] if _can_list(definition.subscription) else []
    if renew_at := one.after(RENEWED):
        times.append(max(renew_at, now + _FIRST_RETRY))
    return min(times, default=None)


def _can_list(subscription: object) -> bool:
    return isinstance(subscription, Lists)


def _wait(one: StoredSubscription, error: HairtriggerError, now: datetime) -> timedelta:
    """Return how long to wait after a failure.

    A subscription that ends soon is tried once more just before its end.
    """
    wait = min(_FIRST_RETRY * (1 << min(one.failures, 12)), LOOK)
    if isinstance(error, CredentialsRefused):
        wait = max(wait, AFTER_A_REFUSAL)
    asked = error.retry_after if isinstance(error, ProviderFailed) else None
    wait = max(wait, min(asked, LONGEST_WAIT)) if asked else wait
    last = one.after(LAST)
    return min(wait, last - now) if last and last > now and not asked else wait


def _until(expires_at: datetime | None) -> str:
    return f"It lasts until {_at(expires_at)}." if expires_at else ""


def _at(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else ""
