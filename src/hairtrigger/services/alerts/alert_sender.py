"""Send alerts to people. All alerts that wait for a channel go in one message, and a channel may send few messages an
hour.

A message that fails is sent again later, with what has happened since. If a process ends after a message was taken and
before that is recorded, the message is sent twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from hairtrigger.domain.alert_channel import Kind, back_off, next_time
from hairtrigger.domain.errors import HairtriggerError, NotReady
from hairtrigger.kit.http import Http
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import repeat
from hairtrigger.platform.mail import MailServer
from hairtrigger.platform.shares import Tenant
from hairtrigger.services.alerts.messages import Message, chat_of, email_of, message_of
from hairtrigger.services.secrets import Secrets
from hairtrigger.store.alerts import channels
from hairtrigger.store.alerts.channels import AlertChannel
from hairtrigger.store.alerts.operational_events import Recorded
from hairtrigger.store.database import Store

log = structlog.get_logger()

URL = "url"
_PAUSE = timedelta(seconds=2)
_LEASE = timedelta(minutes=2)  # longer than a message can take
_AT_MOST = timedelta(seconds=15)
_AT_ONCE = 5
_MOST_TOLD = 1000  # alerts in one message
_LARGEST_ANSWER = 16_384
_KEPT = 200

NO_MAIL = "This service sends no e-mail: its operator has not set HAIRTRIGGER_SMTP_HOST."


class MessageRefused(HairtriggerError):
    """The chat did not take the message."""


@dataclass(frozen=True, kw_only=True)
class AlertSender:
    store: Store
    clock: Clock
    secrets: Secrets
    http_of: Callable[[Tenant], Http]
    mail: MailServer | None
    public_url: str

    async def run(self) -> None:
        await repeat("alerts", self._send_due)

    async def _send_due(self) -> timedelta:
        return timedelta() if await self.send_due() == _AT_ONCE else _PAUSE

    async def send_due(self) -> int:
        """Send the waiting alerts of a few channels that may send now, and return how many channels these were."""
        now = self.clock.now()
        async with self.store.transaction() as tx:
            claimed = await channels.claim(tx, now, now + _LEASE, _AT_ONCE)
            waiting = await channels.waiting(tx, [one.id for one in claimed])
            found = [(one, await channels.unsent(tx, one.id, _MOST_TOLD)) for one in claimed]
        async with asyncio.TaskGroup() as tasks:
            for channel, alerts in found:
                tasks.create_task(self._send_alerts(channel, alerts, waiting.get(channel.id, 0)))
        return len(claimed)

    async def _send_alerts(self, channel: AlertChannel, alerts: Sequence[Recorded], waiting: int) -> None:
        message = message_of(alerts, waiting, self.public_url)
        sent: list[UUID] = []
        try:
            detail = await self.send(channel, message)
        except HairtriggerError as error:
            ended = self.failed(channel, error.message)
        except Exception:
            log.exception("an alert broke", alert_channel_id=str(channel.id))
            ended = self.failed(channel, "The message broke inside the service; see its log.")
        else:
            ended, sent = self.sent(channel, detail), [one.id for one in alerts]
        async with self.store.transaction() as tx:
            if sent:
                await channels.count(tx, channel.id, self.clock.now())
                await channels.remove_alerts(tx, channel.id, sent)
            await channels.end(tx, ended)
            await channels.give_back(tx, channel.id)
        self.tell(channel, ended)

    async def send(self, channel: AlertChannel, message: Message) -> str:
        """Send a message, and return a sentence on the other side's answer. Raise `HairtriggerError` if it was not
        taken.
        """
        match channel.kind:
            case Kind.EMAIL:
                return await self._mail(channel, message)
            case Kind.SLACK | Kind.DISCORD | Kind.TEAMS as kind:
                return await self._chat(channel, chat_of(kind, message))

    async def _mail(self, channel: AlertChannel, message: Message) -> str:
        if self.mail is None:
            raise NotReady(NO_MAIL)
        id_ = f"<{uuid4()}@{self.mail.domain}>"
        made = email_of(message, channel.recipients, self.clock.now(), id_)
        return await self.mail.send(made, channel.recipients)

    async def _chat(self, channel: AlertChannel, body: bytes) -> str:
        reply = await self.http_of(Tenant(str(channel.org_id))).send(
            "POST",
            self.secrets.of_alert_channel(channel)[URL],
            headers={"content-type": "application/json"},
            body=body,
            timeout=_AT_MOST,
            max_bytes=_LARGEST_ANSWER,
        )
        said = " ".join(reply.body[:_KEPT].decode(errors="replace").split())
        if reply.status not in range(200, 300):
            raise MessageRefused(f"The chat answered {reply.status}{f': {said}' if said else ''}.")
        return f"The chat answered {reply.status}."

    def sent(self, channel: AlertChannel, detail: str) -> AlertChannel:
        """Return the channel as it is after a message that was taken now, with the time at which it may send the next
        one.
        """
        now = self.clock.now()
        next_at = next_time([*channel.sent, now], now)
        return replace(channel, next_at=next_at, failures=0, failing_since=None, detail=detail)

    def failed(self, channel: AlertChannel, detail: str) -> AlertChannel:
        """Return the channel as it is after a message that was not taken, with the time of the next try.

        Each further failure makes the wait longer, up to a limit.
        """
        now, failures = self.clock.now(), channel.failures + 1
        since = channel.failing_since or now
        return replace(channel, next_at=now + back_off(failures), failures=failures, failing_since=since, detail=detail)

    def tell(self, before: AlertChannel, after: AlertChannel) -> None:
        """Log that a channel has begun to fail, or works again."""
        if bool(before.failures) != bool(after.failures):
            what = "alert channel failing" if after.failures else "alert channel recovered"
            log.warning(what, alert_channel_id=str(after.id), says=after.detail)
