"""Create, enable, disable and delete project triggers.

Enabling calls the provider first and commits afterwards, so no trigger is enabled without its webhook or cursor. The
removal of a webhook is planned before the webhook is made, so that a crash in between leaves nothing at the provider.
Disabling commits first, so it always works. The webhook left at the provider is removed afterwards, if necessary by
repeated attempts.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import (
    Conflict,
    Invalid,
    InvalidConfig,
    Issue,
    NotReady,
    ProviderFailed,
    sentence,
)
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.privacy import EVERYTHING, Privacy
from hairtrigger.domain.quotas import Limits, Quota
from hairtrigger.domain.rhythm import next_beat
from hairtrigger.domain.start import Start, StartPreview
from hairtrigger.domain.webhook_address import webhook_url
from hairtrigger.kit.trigger import (
    AppWebhook,
    Internal,
    Listening,
    Polling,
    Provider,
    Question,
    Scheduled,
    Trigger,
    Webhook,
    polling_of,
    sweep_of,
)
from hairtrigger.kit.verify import Scheme
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.vault import new_signing_secret
from hairtrigger.services.baseline import baseline, count_since, is_baseline
from hairtrigger.services.catalogue import Catalogue, config_of, secret_params, validated
from hairtrigger.services.provider_calls import Credentials, ProviderCalls, tenant_of
from hairtrigger.services.secrets import MASK, Secrets
from hairtrigger.services.setup.subscriptions import Subscriptions
from hairtrigger.services.setup.webhook_removals import WebhookRemovals
from hairtrigger.services.sources import Source
from hairtrigger.store import quotas
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import bodies
from hairtrigger.store.events import events, outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.polling import polls
from hairtrigger.store.polling.polls import Poll
from hairtrigger.store.setup import connections, projects, subscriptions, triggers
from hairtrigger.store.setup.subscriptions import StoredSubscription
from hairtrigger.store.setup.triggers import ProjectTrigger, Removal, TriggerWithCursor
from hairtrigger.store.transaction import Transaction

_MOST_LISTENING = 20  # to operational events, of one organisation: each event is stored once for each of them


@dataclass(frozen=True)
class TriggerChanges:
    """A change of the fields whose names are in `given`. A trigger's other fields stay as they are."""

    given: frozenset[str]  # of: name, trigger_config, connection_id, privacy
    name: str | None = None
    config: Mapping[str, Any] | None = field(default=None, repr=False)
    connection_id: UUID | None = None
    privacy: Privacy = EVERYTHING


class Note(NamedTuple):
    """An outcome that is recorded with a change."""

    kind: Kind
    code: Code
    detail: str = ""


@dataclass(frozen=True)
class Enabled:
    """The result of enabling a trigger at its provider, before it is stored."""

    webhook_data: dict[str, Any] | None = None
    secrets: bytes | None = field(default=None, repr=False)
    accounts: tuple[str, ...] = ()
    cursor: Mapping[str, Any] | None = None
    next_at: datetime | None = None
    seen: int | None = None  # the number of things that its first look found, and that count as seen
    planned: Removal | None = None  # the removal of its webhook, if the commit fails
    expires_at: datetime | None = None  # the end of its subscription at the provider
    start_from: datetime | None = None  # what happened since then starts, too


@dataclass(frozen=True, kw_only=True)
class Triggers:
    store: Store
    clock: Clock
    catalogue: Catalogue
    calls: ProviderCalls
    secrets: Secrets
    webhook_removals: WebhookRemovals
    subscriptions: Subscriptions
    public_url: str
    least_interval: timedelta
    poll_deadline: timedelta
    limits: Limits = field(default_factory=Limits)
    unconfirmed: int = 500
    """The number of events that enabling a trigger may start at once without a confirmation."""
    kept: timedelta = timedelta(days=30)
    """How long the installation keeps events. No trigger keeps them longer."""

    async def create(
        self,
        caller: Caller,
        project_id: str,
        provider_id: str,
        trigger_id: str,
        params: Mapping[str, Any],
        connection_id: UUID | None,
        name: str | None = None,
        privacy: Privacy = EVERYTHING,
        external_user_id: str | None = None,
    ) -> TriggerWithCursor:
        now = self.clock.now()
        self._check_retention(privacy)
        more = Quota.PROJECT_TRIGGERS
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits, more):
            await projects.existing(tx, caller.org_id, project_id)
            _, definition = await self.catalogue.trigger(tx, caller.org_id, provider_id, trigger_id)
            params = {**_initial(definition), **params}
            validated(definition, params)
            if connection_id is not None:
                await self._fitting_connection(tx, caller, connection_id, provider_id)
            id_ = new_id(now)
            new = TriggerWithCursor(
                id=id_,
                org_id=caller.org_id,
                project_id=project_id,
                connection_id=connection_id,
                provider_id=provider_id,
                trigger_id=trigger_id,
                config=self.secrets.sealed_params(id_, params, secret_params(definition)),
                enabled=False,
                enabled_at=None,
                generation=0,
                webhook_data=None,
                secrets=None,
                created_by=caller.id,
                created_at=now,
                updated_by=None,
                updated_at=now,
                name=name,
                privacy=privacy.stored(),
                external_user_id=external_user_id,
            )
            await triggers.add(tx, new)
        return new

    async def of_project(self, caller: Caller, project_id: str) -> list[TriggerWithCursor]:
        async with self.store.transaction() as tx:
            await projects.existing(tx, caller.org_id, project_id)
            return await triggers.of_project(tx, caller.org_id, project_id)

    async def of_organization(self, caller: Caller) -> list[tuple[TriggerWithCursor, str]]:
        async with self.store.transaction() as tx:
            return await triggers.of_organization(tx, caller.org_id)

    async def get(self, caller: Caller, trigger_id: UUID) -> TriggerWithCursor:
        async with self.store.transaction() as tx:
            return await triggers.existing(tx, caller.org_id, trigger_id)

    async def clockwork(
        self, caller: Caller, trigger_id: UUID
    ) -> tuple[ProjectTrigger, Poll | None, StoredSubscription | None, list[Outcome]]:
        """Return a trigger, its row in `poll` and its subscription, each None if it has none, and its latest outcomes,
        newest first.
        """
        async with self.store.transaction() as tx:
            trigger = await triggers.existing(tx, caller.org_id, trigger_id)
            subscription = await subscriptions.get(tx, trigger_id)
            return trigger, await polls.get(tx, trigger_id), subscription, await outcomes.of_trigger(tx, trigger_id)

    async def change(self, caller: Caller, trigger_id: UUID, changes: TriggerChanges) -> TriggerWithCursor:
        """Change a trigger, and return it. Its cursor, its event keys, its address and its signing secret stay.

        If the provider must be asked and refuses, raise `ProviderFailed`, and nothing is changed. Only a webhook that
        has to be made anew at its provider is removed first. The trigger is disabled while that goes on, and stays
        disabled if the provider refuses.
        """
        async with self.store.transaction() as tx:
            trigger = await triggers.existing(tx, caller.org_id, trigger_id)
            provider, definition = await self.catalogue.trigger(
                tx, caller.org_id, trigger.provider_id, trigger.trigger_id
            )
            wanted = await self._wanted(tx, caller, trigger, definition, changes)
            if wanted.privacy != trigger.privacy:
                await bodies.sweep_anew(tx, trigger.id)
            held = await self.calls.credentials_of(tx, wanted)
        note = Note(Kind.TRIGGER, Code.CHANGED, f"Changed: {', '.join(sorted(changes.given)) or 'nothing'}.")
        reconnected = (wanted.connection_id, wanted.disconnected) != (trigger.connection_id, trigger.disconnected)
        if not trigger.enabled or not (reconnected or self._params(wanted) != self._params(trigger)):
            return await self._commit_changed(wanted, note)
        require_ready(provider, definition, wanted)
        require_scopes(definition, held)
        if isinstance(definition, Webhook) and definition.subscription:
            return await self._moved(caller, trigger, wanted, note)
        question = self.calls.question(
            *(provider, definition, tenant_of(wanted), self._params(wanted), held),
            cursor=trigger.cursor,
            enabled_at=trigger.enabled_at,
        )
        with self.calls.asked(tenant_of(wanted)):
            async with self.calls.marking(held, success=False):
                found = await self._registered(definition, wanted, question, held)
        if trigger.cursor is not None:
            found = replace(found, cursor=None)  # a poll may have moved it meanwhile
        changed = replace(wanted, generation=trigger.generation + 1, webhook_data=found.webhook_data)
        return await self._commit_enabled(changed, definition, found, note, anew=False)

    async def enable(
        self,
        caller: Caller,
        trigger_id: UUID,
        *,
        keep_secret: bool = False,
        start: Start | None = None,
        confirmed: bool = False,
    ) -> TriggerWithCursor:
        """Enable a trigger, and return it. If that fails, the trigger stays disabled.

        Without `start`, a trigger that polled before goes on where it stopped, and any other starts from now. Raise
        `ProviderFailed` if the provider refuses, `NotReady` or `Invalid` if the trigger lacks something, and `Conflict`
        if the trigger or its webhook is changed meanwhile, or if more events would start at once than allowed and that
        is not `confirmed`. With `keep_secret`, a webhook that is made at the provider is given the signing secret that
        the trigger has.
        """
        async with self.store.transaction() as tx:
            trigger = await triggers.existing(tx, caller.org_id, trigger_id)
            if trigger.enabled:
                if start:
                    raise Conflict("The trigger is enabled. Disable it first to let it start from another time.")
                return trigger
            provider, definition = await self.catalogue.trigger(
                tx, caller.org_id, trigger.provider_id, trigger.trigger_id
            )
            held = await self.calls.credentials_of(tx, trigger)
        now = self.clock.now()
        trigger = replace(trigger, enabled_at=now)
        try:
            require_ready(provider, definition, trigger)
            require_scopes(definition, held)
            params = self.secrets.params(trigger.id, trigger.config)
            cursor = None if start else trigger.cursor
            question = self.calls.question(
                *(provider, definition, tenant_of(trigger), params, held),
                cursor=cursor,
                enabled_at=now,
                known=partial(self._known, trigger.id),
            )
            asking = isinstance(definition, AppWebhook) or (isinstance(definition, Webhook) and definition.subscription)
            with self.calls.asked(tenant_of(trigger)):
                async with self.calls.marking(held, success=bool(asking)):
                    if start and start.since:
                        await self._require_few(definition, question, start.since, confirmed=confirmed)
                    found = await self._registered(
                        definition, trigger, question, held, keep_secret=keep_secret, start=start
                    )
        except (ProviderFailed, Invalid, NotReady) as error:
            await self._not_enabled(trigger, f"Enabling failed: {sentence(error)}")
            raise
        changed = replace(
            trigger,
            enabled=True,
            generation=trigger.generation + 1,
            webhook_data=found.webhook_data,
            secrets=found.secrets or trigger.secrets,
            updated_by=caller.id,
            updated_at=now,
        )
        note = Note(Kind.TRIGGER, Code.ENABLED)
        return await self._commit_enabled(changed, definition, found, note, anew=not keep_secret)

    async def disable(self, caller: Caller, trigger_id: UUID) -> TriggerWithCursor:
        async with self.store.transaction() as tx:
            trigger = await triggers.existing(tx, caller.org_id, trigger_id, for_update=True)
            if not trigger.enabled:
                return trigger
            disabled = await self.switch_off(tx, trigger, caller.id)
            await self._note(tx, disabled, Kind.TRIGGER, Code.DISABLED, "")
        await self.webhook_removals.try_now(trigger_id)
        return disabled

    async def delete(self, caller: Caller, trigger_id: UUID) -> None:
        async with self.store.transaction() as tx:
            trigger = await triggers.existing(tx, caller.org_id, trigger_id, for_update=True)
            if trigger.enabled:
                await self.switch_off(tx, trigger, caller.id)
            await triggers.remove(tx, trigger_id)
            await self._note(tx, trigger, Kind.TRIGGER, Code.DELETED, f"The user {caller.id} deleted it.")
        await self.webhook_removals.try_now(trigger_id)

    async def switch_off(self, tx: Transaction, trigger: ProjectTrigger, by: UUID | None) -> TriggerWithCursor:
        """Disable a trigger in the given transaction, and return it. Raise `Conflict` if it was changed meanwhile.

        From the commit on, no request, poll or firing makes events, and the removal of the trigger's webhook is due.
        """
        now = self.clock.now()
        if not await triggers.switch_off(tx, triggers.is_still(trigger), now, by):
            raise Conflict("The trigger was changed meanwhile. Look at it again.")
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if isinstance(definition, Webhook) and definition.subscription:
            held = await self.calls.credentials_of(tx, trigger)
            await triggers.plan_removal(tx, self.subscriptions.removal(trigger, held, now), now)
        return await triggers.existing(tx, trigger.org_id, trigger.id)

    async def rotate_secret(
        self, caller: Caller, trigger_id: UUID, value: str | None = None, overlap: timedelta = timedelta(days=1)
    ) -> str:
        """Set and return a new signing secret for requests to a webhook. The old ones stay valid for `overlap` at most.

        Raise `Invalid` if the user can't set this trigger's secret or the value does not fit its scheme, and `Conflict`
        if too many are valid.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx:
            trigger = await triggers.existing(tx, caller.org_id, trigger_id, for_update=True)
            definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
            if not isinstance(definition, Webhook) or definition.subscription:
                raise Invalid("This trigger's signing secret is not yours to set: its provider or app holds it.")
            secret = (value or new_signing_secret()).strip()
            _require_usable(definition, trigger, secret, given=value is not None)
            sealed = self.secrets.rotated(trigger, secret, now, overlap)
            await triggers.save_secrets(tx, trigger_id, sealed, now)
            detail = "It has a new signing secret." + f" The one before stays valid for {overlap}." * bool(
                trigger.secrets
            )
            await self._note(tx, trigger, Kind.TRIGGER, Code.CHANGED, detail)
        return secret

    # -- changing

    async def _wanted(
        self,
        tx: Transaction,
        caller: Caller,
        trigger: TriggerWithCursor,
        definition: Trigger,
        changes: TriggerChanges,
    ) -> TriggerWithCursor:
        wanted = replace(trigger, updated_by=caller.id, updated_at=self.clock.now())
        if "name" in changes.given:
            wanted = replace(wanted, name=changes.name)
        if "trigger_config" in changes.given:
            secret, before = secret_params(definition), self._params(trigger)
            params = {
                key: before[key] if value == MASK and key in secret and key in before else value
                for key, value in (changes.config or {}).items()
            }
            params = {**{name: before[name] for name in _initial(definition) if name in before}, **params}
            validated(definition, params)
            wanted = replace(wanted, config=self.secrets.sealed_params(trigger.id, params, secret))
        if "connection_id" in changes.given:
            if changes.connection_id is not None:
                await self._fitting_connection(tx, caller, changes.connection_id, trigger.provider_id)
            wanted = replace(wanted, connection_id=changes.connection_id, disconnected=None)
        if "privacy" in changes.given:
            self._check_retention(changes.privacy)
            wanted = replace(wanted, privacy=changes.privacy.stored())
        return wanted

    def _check_retention(self, privacy: Privacy) -> None:
        if privacy.retention_days is not None and privacy.retention_days > self.kept.days:
            most = f"This service keeps events for {self.kept.days} days, and no trigger keeps them longer."
            raise Invalid(None, Issue(("privacy", "retention_days"), most))

    async def _commit_changed(self, wanted: TriggerWithCursor, note: Note) -> TriggerWithCursor:
        changed = replace(wanted, generation=wanted.generation + 1)
        async with self.store.transaction() as tx, quotas.within(tx, changed.org_id, self.limits):
            if not await triggers.save(tx, changed):
                raise Conflict("The trigger was changed meanwhile. Look at it again.")
            await self._note(tx, changed, note.kind, note.code, note.detail)
        return changed

    async def _moved(
        self, caller: Caller, trigger: TriggerWithCursor, wanted: TriggerWithCursor, note: Note
    ) -> TriggerWithCursor:
        """Remove the webhook that the trigger has, then make the one that is wanted, and return the trigger.

        A provider may keep both as one webhook. If the old one were removed last, none would be left.
        """
        async with self.store.transaction() as tx:
            off = await self.switch_off(tx, trigger, caller.id)
            await triggers.save(tx, replace(wanted, enabled=False, generation=off.generation + 1, webhook_data=None))
            await self._note(tx, wanted, note.kind, note.code, note.detail)
        await self.webhook_removals.try_now(trigger.id)
        return await self.enable(caller, trigger.id, keep_secret=True)

    def _params(self, trigger: ProjectTrigger) -> dict[str, Any]:
        return self.secrets.params(trigger.id, trigger.config)

    # -- enabling

    async def preview(self, caller: Caller, trigger_id: UUID, start: Start) -> StartPreview:
        """Return how many events would start at once if the trigger were enabled with this start. Nothing is stored.

        Raise errors as `enable` does.
        """
        async with self.store.transaction() as tx:
            trigger = await triggers.existing(tx, caller.org_id, trigger_id)
            provider, definition = await self.catalogue.trigger(
                tx, caller.org_id, trigger.provider_id, trigger.trigger_id
            )
            held = await self.calls.credentials_of(tx, trigger)
        require_ready(provider, definition, trigger)
        if start.since is None:
            return StartPreview(0, self.unconfirmed)
        question = self.calls.question(
            *(provider, definition, tenant_of(trigger), self._params(trigger), held),
            known=partial(self._known, trigger.id),
            remote=trigger.webhook_data,
        )
        with self.calls.asked(tenant_of(trigger)):
            return await self._counted(definition, question, start.since)

    async def _counted(self, definition: Trigger, question: Question[Any], since: datetime) -> StartPreview:
        polling = polling_of(definition)
        if polling is None:
            raise Invalid(
                "This trigger can only start from now: there is no list in which the service could look for what "
                "happened before."
            )
        if since > self.clock.now():
            raise Invalid("The start lies in the future.")
        count, at_least = await count_since(polling, question, since, self.poll_deadline)
        return StartPreview(count, self.unconfirmed, at_least=at_least)

    async def _require_few(
        self, definition: Trigger, question: Question[Any], since: datetime, *, confirmed: bool
    ) -> None:
        """Raise `Conflict` if more events would start at once than allowed, and that is not confirmed."""
        found = await self._counted(definition, question, since)
        if found.needs_confirmation and not confirmed:
            raise Conflict(
                f"{found.sentence} More than {found.limit:,} need a confirmation: enable it again with `confirm`, or "
                "from now, or from a later time."
            )

    async def _known(self, trigger_id: UUID, keys: Sequence[str]) -> set[str]:
        async with self.store.transaction() as tx:
            return await events.known(tx, trigger_id, keys)

    async def _registered(
        self,
        definition: Trigger,
        trigger: ProjectTrigger,
        question: Question[Any],
        held: Credentials,
        *,
        keep_secret: bool = False,
        start: Start | None = None,
    ) -> Enabled:
        now, since = question.asked_at, start.since if start else None
        match definition:
            case Webhook(subscription=None, repeats=repeats):
                if not self.secrets.live(trigger, now):
                    raise NotReady(
                        "The trigger has no signing secret yet, so it would refuse everything. "
                        f"Set one first: POST /v1/project-triggers/{trigger.id}/secret"
                    )
                told = {"repeats": repeats(question.config)} if repeats else {}
                return Enabled(webhook_data={"url": self.webhook_url(trigger.id), **told})
            case Webhook():
                made = await self.subscriptions.make(definition, trigger, question, held, keep_secret=keep_secret)
                return Enabled(
                    made.remote, made.secrets, planned=made.planned, expires_at=made.expires_at, start_from=since
                )
            case AppWebhook():
                accounts = tuple(await definition.accounts(question))
                if not accounts:
                    raise ProviderFailed("The provider names no account that this connection may listen to.")
                return Enabled(webhook_data={"accounts": list(accounts)}, accounts=accounts, start_from=since)
            case Polling():
                if since or (start and not is_baseline(definition, question)):
                    return Enabled(next_at=now, start_from=since or now)
                if not is_baseline(definition, question):
                    return Enabled(cursor=question.cursor, next_at=now)
                cursor, seen = await baseline(definition, question, self.poll_deadline)
                return Enabled(cursor=cursor, next_at=now, seen=seen)
            case Listening():
                if question.cursor is not None:
                    return Enabled(cursor=question.cursor, next_at=now)
                source = Source.of(definition, question, self.calls.door_of(tenant_of(trigger)), trigger.id)
                return Enabled(cursor=await source.start(self.poll_deadline), next_at=now)
            case Scheduled():
                following = definition.schedule(question.config, question.enabled_at).next_after(now)
                if following is None:
                    raise InvalidConfig(None, Issue((), "This schedule never fires again."))
                return Enabled(next_at=following)
            case Internal():
                return Enabled(webhook_data={"source": "the service itself"})

    async def _commit_enabled(
        self, changed: TriggerWithCursor, definition: Trigger, found: Enabled, note: Note, *, anew: bool
    ) -> TriggerWithCursor:
        """Store that the trigger is enabled. With `anew`, its sweep looks for what happens from now on."""
        async with self.store.transaction() as tx, quotas.within(tx, changed.org_id, self.limits):
            if not await triggers.save(tx, changed):
                raise Conflict("The trigger was changed while the provider was asked. Try again.")
            if found.planned and not await triggers.cancel_removal(tx, found.planned):
                raise Conflict("Enabling took so long that the webhook has been taken down again. Try again.")
            match definition:
                case Webhook():
                    if definition.subscription:
                        await self.subscriptions.begin(tx, definition, changed.id, found.expires_at)
                case Internal():
                    await self._require_listening(tx, changed, definition)
                case AppWebhook():
                    await triggers.route(tx, changed, found.accounts)
                case Polling():
                    every = self.interval(definition, changed)
                    await polls.start(tx, changed.id, "poll", found.next_at, every, found.start_from)
                    if found.cursor is not None:
                        await polls.set_cursor(tx, changed.id, dict(found.cursor))
                case Listening():
                    await polls.start(tx, changed.id, "listen", found.next_at)
                    if found.cursor is not None:
                        await polls.set_cursor(tx, changed.id, dict(found.cursor))
                case Scheduled():
                    await polls.start(tx, changed.id, "schedule", found.next_at)
            if sweep := sweep_of(definition):
                now = self.clock.now()
                begin = found.start_from or changed.enabled_at or now
                first = now if found.start_from else next_beat(changed.id, sweep.every, now)
                await polls.start_sweep(tx, changed.id, first, sweep.every, begin, anew=anew)
            if isinstance(definition, Webhook | AppWebhook):
                await self._note(tx, changed, Kind.REGISTRATION, Code.REGISTERED, "")
            seen = "" if found.seen is None else f"What its provider had then counts as seen ({found.seen} entries)."
            await self._note(tx, changed, note.kind, note.code, " ".join(filter(None, (note.detail, seen))))
        return replace(changed, cursor=dict(found.cursor) if found.cursor is not None else changed.cursor)

    async def _require_listening(self, tx: Transaction, trigger: ProjectTrigger, definition: Internal[Any]) -> None:
        """Raise `InvalidConfig` if the trigger names a project that the organisation has not, and `Conflict` if too
        many listen to the service itself.
        """
        named = definition.wanted(config_of(definition, trigger)).project_ids
        there = await projects.which_exist(tx, trigger.org_id, named)
        if missing := [id_ for id_ in named if id_ not in there]:
            raise InvalidConfig(None, Issue(("projects",), f"There is no project '{missing[0]}'."))
        if await triggers.count_enabled(tx, trigger.org_id, trigger.provider_id) > _MOST_LISTENING:
            raise Conflict(f"{_MOST_LISTENING} enabled triggers of an organisation may bring operational events.")

    def interval(self, definition: Polling[Any], trigger: ProjectTrigger) -> timedelta:
        """Return the interval from the configuration, or else from the definition, but at least the shortest
        allowed.
        """
        wanted = trigger.config.get("polling_frequency")
        return max(self.least_interval, timedelta(seconds=int(wanted)) if wanted else definition.every)

    def repeats_of(self, trigger: ProjectTrigger) -> str | None:
        """Return the sentence that says what counts as a repeat of a request to this trigger, or None if there is no
        such sentence.
        """
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if not isinstance(definition, Webhook) or definition.repeats is None:
            return None
        with suppress(Invalid):  # the configuration was stored before today's rules for it
            return definition.repeats(config_of(definition, trigger))
        return None

    def own_webhook_url(self, trigger: ProjectTrigger) -> str | None:
        """Return the address for requests to this trigger, or None if it has no address of its own."""
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        return self.webhook_url(trigger.id) if isinstance(definition, Webhook) else None

    def webhook_url(self, trigger_id: UUID) -> str:
        return webhook_url(self.public_url, trigger_id)

    # -- the rest

    async def _fitting_connection(self, tx: Transaction, caller: Caller, connection_id: UUID, provider_id: str) -> None:
        connection = await connections.existing(tx, caller.org_id, connection_id)
        if connection.provider_id != provider_id:
            raise Invalid(
                None,
                Issue(
                    ("connection_id",), f"This is a connection to '{connection.provider_id}', not to '{provider_id}'."
                ),
            )

    async def _not_enabled(self, trigger: ProjectTrigger, detail: str) -> None:
        async with self.store.transaction() as tx:
            await self._note(tx, trigger, Kind.REGISTRATION, Code.FAILED, detail)

    async def _note(self, tx: Transaction, trigger: ProjectTrigger, kind: Kind, code: Code, detail: str) -> None:
        now = self.clock.now()
        await outcomes.record(tx, Outcome(kind, code, now, trigger.org_id, trigger.id, detail))


def _initial(definition: Trigger) -> Mapping[str, Any]:
    return definition.initial if isinstance(definition, Webhook) else {}


def _require_usable(definition: Webhook[Any], trigger: ProjectTrigger, secret: str, *, given: bool) -> None:
    """Raise `Invalid` for a secret with which the trigger would refuse every request."""
    try:
        verifier = definition.verifier(config_of(definition, trigger))
    except Invalid:
        return  # the configuration was stored before today's rules for it, and is told elsewhere
    fault = verifier.fault(secret) if isinstance(verifier, Scheme) else None
    if fault and given:
        raise Invalid(None, Issue(("secret",), f"The trigger would refuse every request with this secret. {fault}"))
    if fault:
        raise Invalid(None, Issue(("secret",), f"The sender dictates this secret, so give it. {fault}"))


def require_ready(provider: Provider, definition: Trigger, trigger: ProjectTrigger) -> None:
    """Raise `NotReady` if the provider can't be asked for this trigger, because it lacks its code or its connection."""
    if isinstance(definition, Polling) and definition.lacks:
        raise NotReady(definition.lacks)
    if trigger.disconnected:
        raise NotReady(trigger.disconnected)
    if provider.fields and definition.needs_connection and trigger.connection_id is None:
        raise NotReady(f"The trigger needs a connection to '{provider.id}'. Create it with a connection_id.")


def require_scopes(definition: Trigger, credentials: Credentials) -> None:
    """Raise `NotReady` if the provider was not asked for a scope of the trigger when its connection was made.

    A provider may name the scopes that it granted otherwise than they were asked for, so these are not compared.
    """
    asked = credentials.connection.scopes if credentials.connection else None
    missing = [one for one in definition.scopes if asked is not None and one not in asked]
    if missing:
        raise NotReady(
            f"The connection was made without the scopes that this trigger needs: {', '.join(missing)}. Connect it "
            "again: POST /v1/authorizations with its connection_id."
        )
