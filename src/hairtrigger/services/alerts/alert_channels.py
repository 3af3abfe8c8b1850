"""Manage alert channels, with which users say which people are told of which operational events, and in which way."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from hairtrigger.domain.alert_channel import MOST_AN_HOUR, Kind, is_address, lately
from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import HairtriggerError, Invalid, Issue, NotFound, NotReady, RateLimited
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.operational import OperationalType
from hairtrigger.domain.quotas import Limits, Quota
from hairtrigger.platform.clock import Clock
from hairtrigger.services.alerts.alert_sender import NO_MAIL, URL, AlertSender
from hairtrigger.services.alerts.messages import test_message
from hairtrigger.services.secrets import Secrets
from hairtrigger.store import quotas
from hairtrigger.store.alerts import channels, operational_events
from hairtrigger.store.alerts.channels import AlertChannel
from hairtrigger.store.alerts.operational_events import Recorded
from hairtrigger.store.database import Store
from hairtrigger.store.setup import projects
from hairtrigger.store.transaction import Transaction


class NoSuchAlertChannel(NotFound):
    """There is no such alert channel."""


@dataclass(frozen=True)
class Draft:
    """An alert channel as a user describes it."""

    name: str
    kind: Kind
    types: Sequence[OperationalType] = ()
    project_ids: Sequence[str] = ()
    recipients: Sequence[str] = ()
    url: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Changes:
    """A change of an alert channel. A field that is None stays as it is."""

    name: str | None = None
    types: Sequence[OperationalType] | None = None
    project_ids: Sequence[str] | None = None
    recipients: Sequence[str] | None = None
    url: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Tried:
    """The result of a test message: whether it was taken, and what the other side said or why it failed."""

    taken: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class AlertChannels:
    store: Store
    clock: Clock
    secrets: Secrets
    sender: AlertSender
    limits: Limits = field(default_factory=Limits)

    async def create(self, caller: Caller, draft: Draft) -> AlertChannel:
        now = self.clock.now()
        id_ = new_id(now)
        self._check(draft.kind, draft.recipients, draft.url)
        new = AlertChannel(
            id=id_,
            org_id=caller.org_id,
            name=draft.name,
            kind=draft.kind,
            types=list(draft.types),
            project_ids=list(draft.project_ids),
            recipients=list(draft.recipients),
            secrets=self._sealed(id_, draft.url),
            created_by=caller.id,
            created_at=now,
            updated_at=now,
            next_at=now,
        )
        more = Quota.ALERT_CHANNELS
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits, more):
            await _require_projects(tx, caller, draft.project_ids)
            await channels.add(tx, new)
        return new

    async def listed(self, caller: Caller) -> list[tuple[AlertChannel, int]]:
        """Return the organisation's channels, each with the number of alerts that it has not sent yet."""
        async with self.store.transaction() as tx:
            found = await channels.of_organization(tx, caller.org_id)
            waiting = await channels.waiting(tx, [one.id for one in found])
        return [(one, waiting.get(one.id, 0)) for one in found]

    async def get(self, caller: Caller, channel_id: UUID) -> tuple[AlertChannel, int]:
        async with self.store.transaction() as tx:
            found = await _existing(tx, caller, channel_id)
            return found, (await channels.waiting(tx, [channel_id])).get(channel_id, 0)

    async def change(self, caller: Caller, channel_id: UUID, changes: Changes) -> tuple[AlertChannel, int]:
        """Change a channel, and return it with the number of alerts that it has not sent yet.

        A channel that was failing tries a new address or new recipients at once.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits):
            before = await _existing(tx, caller, channel_id, for_update=True)
            recipients = before.recipients if changes.recipients is None else list(changes.recipients)
            if changes.recipients is not None or changes.url is not None:
                self._check(before.kind, recipients, changes.url or self._url(before))
                before = replace(before, next_at=min(before.next_at, now) if before.failures else before.next_at)
            await _require_projects(tx, caller, changes.project_ids or ())
            changed = replace(
                before,
                name=changes.name or before.name,
                types=before.types if changes.types is None else list(changes.types),
                project_ids=before.project_ids if changes.project_ids is None else list(changes.project_ids),
                recipients=recipients,
                secrets=self._sealed(channel_id, changes.url) if changes.url else before.secrets,
                updated_at=now,
            )
            await channels.save(tx, changed)
            return changed, (await channels.waiting(tx, [channel_id])).get(channel_id, 0)

    async def delete(self, caller: Caller, channel_id: UUID) -> None:
        async with self.store.transaction() as tx:
            if not await channels.remove(tx, caller.org_id, channel_id):
                raise NoSuchAlertChannel

    async def test(self, caller: Caller, channel_id: UUID) -> Tried:
        """Send a test message now, and return how that ended.

        It counts among the messages that the channel may send in an hour. Raise `RateLimited` if there is none left.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx:
            before = await _existing(tx, caller, channel_id, for_update=True)
            sent = lately(before.sent, now)
            if len(sent) >= MOST_AN_HOUR:
                wait = sent[-MOST_AN_HOUR] + timedelta(hours=1) - now
                raise RateLimited(f"A channel sends {MOST_AN_HOUR} messages an hour at most.", retry_after=wait)
            # It counts before it is sent, so that many tests at a time are no way round the limit.
            await channels.count(tx, channel_id, now)
        tried = await self._try(before)
        ended = self.sender.sent(before, tried.detail) if tried.taken else self.sender.failed(before, tried.detail)
        async with self.store.transaction() as tx:
            await channels.end(tx, ended)
        self.sender.tell(before, ended)
        return tried

    async def _try(self, channel: AlertChannel) -> Tried:
        try:
            said = await self.sender.send(channel, test_message(self.sender.public_url, self.clock.now()))
        except HairtriggerError as error:
            return Tried(False, error.message)
        return Tried(True, said)

    async def events(
        self,
        caller: Caller,
        *,
        limit: int,
        before: UUID | None = None,
        types: Sequence[OperationalType] = (),
        project_id: str | None = None,
        project_trigger_id: UUID | None = None,
        since: datetime | None = None,
    ) -> list[Recorded]:
        """Return the first `limit` operational events of the organisation that match, newest first."""
        async with self.store.transaction() as tx:
            return await operational_events.page(
                tx,
                caller.org_id,
                limit=limit,
                before=before,
                types=types,
                project_id=project_id,
                project_trigger_id=project_trigger_id,
                since=since,
            )

    async def event(self, caller: Caller, event_id: UUID) -> Recorded:
        async with self.store.transaction() as tx:
            found = await operational_events.get(tx, caller.org_id, event_id)
        if not found:
            raise NotFound("There is no such operational event.")
        return found

    def _check(self, kind: Kind, recipients: Sequence[str], url: str | None) -> None:
        """Raise `Invalid` if something that the kind needs is missing or wrong, and `NotReady` if it can't be sent."""
        if kind is not Kind.EMAIL:
            if not url:
                raise Invalid(None, Issue(("url",), "Give the address of the chat's incoming webhook."))
            if recipients:
                raise Invalid(None, Issue(("recipients",), "Only e-mail has recipients."))
            return
        if url:
            raise Invalid(None, Issue(("url",), "E-mail has recipients, and no address of a webhook."))
        if not recipients:
            raise Invalid(None, Issue(("recipients",), "Give at least one e-mail address."))
        for place, one in enumerate(recipients):
            if not is_address(one):
                raise Invalid(None, Issue(("recipients", place), "This is no e-mail address."))
        if self.sender.mail is None:
            raise NotReady(NO_MAIL)

    def _sealed(self, channel_id: UUID, url: str | None) -> bytes:
        return self.secrets.seal_for_alert_channel(channel_id, {URL: url} if url else {})

    def _url(self, channel: AlertChannel) -> str | None:
        return self.secrets.of_alert_channel(channel).get(URL)


async def _existing(tx: Transaction, caller: Caller, channel_id: UUID, *, for_update: bool = False) -> AlertChannel:
    found = await channels.get(tx, caller.org_id, channel_id, for_update=for_update)
    if not found:
        raise NoSuchAlertChannel
    return found


async def _require_projects(tx: Transaction, caller: Caller, project_ids: Sequence[str]) -> None:
    there = await projects.which_exist(tx, caller.org_id, project_ids)
    if missing := [id_ for id_ in project_ids if id_ not in there]:
        raise Invalid(None, Issue(("project_ids",), f"There is no project '{missing[0]}'."))
