"""People are told by e-mail and in chats: once, together, and not too often; a channel that fails says so."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest
import structlog.testing

from hairtrigger.domain.alert_channel import MOST_AN_HOUR, Kind, is_address
from hairtrigger.domain.errors import Conflict, Invalid, NotReady, RateLimited
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.operational import OperationalEvent, OperationalType, QuotaUsed
from hairtrigger.domain.quotas import Limits, Quota
from hairtrigger.platform.egress import Egress, EgressPolicy
from hairtrigger.platform.mail import MailServer
from hairtrigger.platform.vault import Vault
from hairtrigger.services.alerts.alert_channels import AlertChannels, Changes, Draft
from hairtrigger.services.alerts.alert_sender import AlertSender
from hairtrigger.store.alerts import channels, operational_events
from hairtrigger.store.alerts.channels import AlertChannel
from hairtrigger.store.database import Store
from tests.services.world import World, a_world
from tests.support.clock import ManualClock
from tests.support.mail import MailBox, a_mail_server
from tests.support.servers import Seen, Server, response, serving

pytestmark = pytest.mark.anyio

URL = "https://hooks.test"


@dataclass
class Told:
    """An organisation whose people are told, by a chat and a mail server."""

    world: World
    channels: AlertChannels
    sender: AlertSender
    chat: Server
    box: MailBox
    answers: list[int] = field(default_factory=lambda: [200])

    async def channel(self, kind: Kind = Kind.SLACK, **more: Any) -> UUID:
        where: dict[str, Any] = (
            {"recipients": ["ops@example.com"]} if kind is Kind.EMAIL else {"url": f"{self.chat.url}/hook/secret"}
        )
        return (await self.channels.create(self.world.caller, Draft("On call", kind, **{**where, **more}))).id

    async def happens(self, count: int = 1, sentence: str = "It happened.") -> list[UUID]:
        now = self.world.clock.now()
        details = QuotaUsed(quota=Quota.PROJECTS, limit=10, used=8, resets_at=None)
        made = [
            OperationalEvent(
                new_id(now + timedelta(microseconds=number)),
                self.world.caller.org_id,
                OperationalType.QUOTA_NEAR,
                now,
                sentence,
                details,
            )
            for number in range(count)
        ]
        async with self.world.store.transaction() as tx:
            await operational_events.record(tx, made)
            await channels.queue(tx, made)
        return [one.id for one in made]

    async def state(self, id_: UUID) -> tuple[AlertChannel, int]:
        return await self.channels.get(self.world.caller, id_)

    async def send(self, **passed: float) -> int:
        """Let time pass and send what is due; return the number of requests that the chat got by that."""
        self.world.clock.advance(timedelta(**passed))
        before = len(self.chat.seen)
        await self.sender.send_due()
        return len(self.chat.seen) - before

    @property
    def said(self) -> list[str]:
        return [json.loads(seen.body)["text"] for seen in self.chat.seen]


@pytest.fixture
async def told(store: Store, clock: ManualClock, vault: Vault) -> AsyncIterator[Told]:
    answers = [200]

    async def answer(seen: Seen, writer: Any) -> None:
        writer.write(response(answers[0], b"no_such_channel" if answers[0] >= 400 else b"ok"))

    world = await a_world(store, clock, vault)
    policy = EgressPolicy(allow=(ip_network("127.0.0.0/8"),))
    async with serving(answer) as chat, a_mail_server() as box, Egress(policy) as egress:
        mail = MailServer("localhost", box.port, "none", "Alerts <alerts@example.com>")
        sender = AlertSender(
            store=store, clock=clock, secrets=world.secrets, http_of=egress.of, mail=mail, public_url=URL
        )
        made = AlertChannels(store=store, clock=clock, secrets=world.secrets, sender=sender)
        yield Told(world, made, sender, chat, box, answers)


async def test_an_alert_comes_by_e_mail(told: Told) -> None:
    await told.channel(Kind.EMAIL, recipients=["ops@example.com", "boss@example.com"])
    await told.happens(sentence="The quota 'projects' is nearly used up: ä.")
    assert await told.sender.send_due() == 1
    [(recipients, message)] = told.box.taken
    assert recipients == ["ops@example.com", "boss@example.com"]
    assert message["Subject"] == "[hairtrigger] quota.near: the organisation"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "The quota 'projects' is nearly used up: ä." in message.get_content()
    assert f"GET {URL}/v1/operational-events" in message.get_content()
    assert await told.sender.send_due() == 0


async def test_an_alert_comes_in_each_chat_in_its_own_json_and_strangers_text_does_nothing_there(told: Told) -> None:
    for kind in (Kind.SLACK, Kind.DISCORD, Kind.TEAMS):
        await told.channel(kind, url=f"{told.chat.url}/{kind}")
    nasty = "<!channel> @everyone [a](https://evil.test) ```"
    await told.happens(sentence=nasty)
    for _ in range(3):
        await told.send(seconds=2)
    got = {seen.path.strip("/"): json.loads(seen.body) for seen in told.chat.seen}
    assert set(got) == {"slack", "discord", "teams"}
    assert all(seen.header("content-type") == "application/json" for seen in told.chat.seen)
    assert "&lt;!channel&gt;" in got["slack"]["text"]
    assert got["slack"]["blocks"][0]["text"]["type"] == "plain_text"
    assert got["discord"]["allowed_mentions"] == {"parse": []}
    assert got["discord"]["content"].count("```") == 2
    [card] = got["teams"]["attachments"]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert {block["type"] for block in card["content"]["body"]} == {"RichTextBlock"}
    assert any(nasty in block["inlines"][0]["text"] for block in card["content"]["body"])


async def test_what_happens_together_is_one_message_of_bounded_length(told: Told) -> None:
    await told.channel()
    await told.channel(Kind.DISCORD, url=f"{told.chat.url}/discord")
    await told.happens(500, sentence="x" * 5000)
    assert await told.send() == 1
    assert await told.send() == 1
    by_path = {seen.path: json.loads(seen.body) for seen in told.chat.seen}
    slack, discord = by_path["/hook/secret"], by_path["/discord"]
    assert slack["text"].startswith("500 operational events, 500 of them problems\n")
    assert "And 485 more." in slack["text"]
    assert len(slack["blocks"][0]["text"]["text"]) <= 3000
    assert len(discord["content"]) <= 2000
    assert await told.send(hours=1) == 0


async def test_a_channel_sends_twelve_messages_in_any_hour_and_the_rest_in_the_next(told: Told) -> None:
    id_ = await told.channel()
    for _ in range(60):
        await told.happens()
        await told.send(seconds=30)
    assert len(told.chat.seen) == MOST_AN_HOUR
    channel, waiting = await told.state(id_)
    assert waiting == 48
    assert channel.next_at == channel.sent[0] + timedelta(hours=1)
    assert await told.send(minutes=31) == 1
    assert told.said[-1].startswith("48 operational events")
    assert (await told.state(id_))[1] == 0


async def test_a_channel_that_fails_says_so_and_tries_again_later_with_all_that_happened(told: Told) -> None:
    id_ = await told.channel()
    told.answers[0] = 404
    await told.happens()
    with structlog.testing.capture_logs() as logged:
        assert await told.send() == 1
        assert await told.send(seconds=29) == 0
        await told.happens()
        assert await told.send(seconds=1) == 1
    channel, waiting = await told.state(id_)
    assert (channel.failures, waiting) == (2, 2)
    assert channel.detail == "The chat answered 404: no_such_channel."
    assert channel.failing_since
    [line] = logged
    assert (line["event"], line["log_level"], line["alert_channel_id"]) == (
        "alert channel failing",
        "warning",
        str(id_),
    )
    assert await told.send(hours=24) == 1
    told.answers[0] = 200
    with structlog.testing.capture_logs() as logged:
        assert await told.send(hours=1) == 1
    assert [line["event"] for line in logged] == ["alert channel recovered"]
    channel, waiting = await told.state(id_)
    assert (channel.failures, channel.failing_since, waiting) == (0, None, 0)
    assert told.said[-1].startswith("2 operational events")


async def test_a_failing_channel_waits_an_hour_at_most(told: Told) -> None:
    id_ = await told.channel()
    told.answers[0] = 500
    await told.happens()
    for _ in range(20):
        await told.send(hours=2)
    channel, _ = await told.state(id_)
    assert channel.failures == 20
    assert channel.next_at == told.world.clock.now() + timedelta(hours=1)


async def test_an_address_that_this_service_does_not_call_is_told_as_such(told: Told) -> None:
    id_ = await told.channel(url="http://10.0.0.1/hook")
    await told.happens()
    assert await told.send() == 0
    channel, _ = await told.state(id_)
    assert channel.failures == 1
    assert channel.detail
    assert "10.0.0.1" not in channel.detail


async def test_a_test_says_what_came_of_it_and_counts(told: Told) -> None:
    id_ = await told.channel()
    caller = told.world.caller
    tried = await told.channels.test(caller, id_)
    assert (tried.taken, tried.detail) == (True, "The chat answered 200.")
    assert "This is a test of an alert channel" in told.said[0]
    told.answers[0] = 410
    tried = await told.channels.test(caller, id_)
    assert (tried.taken, tried.detail) == (False, "The chat answered 410: no_such_channel.")
    assert (await told.state(id_))[0].failures == 1
    for _ in range(MOST_AN_HOUR - 2):
        await told.channels.test(caller, id_)
    with pytest.raises(RateLimited):
        await told.channels.test(caller, id_)
    told.world.clock.advance(timedelta(hours=1))
    await told.channels.test(caller, id_)


async def test_a_new_address_of_a_failing_channel_is_tried_at_once(told: Told) -> None:
    id_ = await told.channel(url="http://10.0.0.1/hook")
    await told.happens()
    await told.send()
    await told.channels.change(told.world.caller, id_, Changes(url=f"{told.chat.url}/new"))
    assert await told.send() == 1
    assert told.chat.seen[0].path == "/new"


async def test_a_channel_gets_what_it_asks_for(told: Told) -> None:
    await told.channel(types=[OperationalType.TRIGGER_FAILING])
    id_ = await told.channel(project_ids=[told.world.project_id])
    await told.happens()
    waiting = {channel.id: count for channel, count in await told.channels.listed(told.world.caller)}
    assert [count for other, count in waiting.items() if other != id_] == [0]
    assert waiting[id_] == 1, "what is about the whole organisation is about each project"


@pytest.mark.parametrize(
    ("draft", "where"),
    [
        (Draft("x", Kind.EMAIL), "recipients"),
        (Draft("x", Kind.EMAIL, recipients=["nobody"]), "recipients"),
        (Draft("x", Kind.EMAIL, recipients=["a@b.c\r\nRCPT TO:<x@y.z>"]), "recipients"),
        (Draft("x", Kind.EMAIL, recipients=["a@b.c"], url="https://x.test"), "url"),
        (Draft("x", Kind.SLACK), "url"),
        (Draft("x", Kind.SLACK, recipients=["a@b.c"], url="https://x.test"), "recipients"),
        (Draft("x", Kind.SLACK, project_ids=["proj_x"], url="https://x.test"), "project_ids"),
    ],
)
async def test_a_channel_that_could_tell_nobody_is_refused(told: Told, draft: Draft, where: str) -> None:
    with pytest.raises(Invalid) as refused:
        await told.channels.create(told.world.caller, draft)
    assert refused.value.issues[0].path[0] == where


async def test_without_a_mail_server_there_is_no_e_mail(told: Told) -> None:
    without = replace(told.channels, sender=replace(told.sender, mail=None))
    with pytest.raises(NotReady, match="HAIRTRIGGER_SMTP_HOST"):
        await without.create(told.world.caller, Draft("x", Kind.EMAIL, recipients=["a@b.c"]))


async def test_the_channels_of_an_organisation_are_few(told: Told) -> None:
    few = replace(told.channels, limits=Limits(alert_channels=1))
    await few.create(told.world.caller, Draft("x", Kind.SLACK, url="https://x.test"))
    with pytest.raises(Conflict, match="alert_channels"):
        await few.create(told.world.caller, Draft("x", Kind.SLACK, url="https://x.test"))


async def test_the_address_of_a_chat_is_sealed(told: Told) -> None:
    id_ = await told.channel()
    channel, _ = await told.state(id_)
    assert b"secret" not in channel.secrets
    assert "secret" not in repr(channel)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a@b.c", True),
        ("first.last+tag@mail.example.co.uk", True),
        ("", False),
        ("a@b@c", False),
        ("a b@c.d", False),
        (".a@b.c", False),
        ("a..b@c.d", False),
        ("a@-b.c", False),
        ("a@b..c", False),
        ("<a@b.c>", False),
        ("a" * 65 + "@b.c", False),
        ("a@" + "b" * 64 + ".c", False),
        ("a@b.c\n", False),
    ],
)
def test_an_e_mail_address_is_one_that_every_server_takes(text: str, is_one: bool) -> None:
    assert is_address(text) is is_one
