import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from hairtrigger.domain.errors import CredentialsRefused, Invalid, Malformed, ProviderFailed
from hairtrigger.kit.handshake import answered
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.trigger import App, AppWebhook
from tests.providers.asking import arrived, asking, events, provider, trigger
from tests.providers.slack.fake import Slack, app, happen, retry, verify_url

pytestmark = pytest.mark.anyio

MESSAGE: AppWebhook[Any] = trigger("slack", "on_message_received")
REACTION: AppWebhook[Any] = trigger("slack", "on_reaction_added")


def slack() -> App:
    found = provider("slack").app
    assert found
    return found


def heard(event: dict[str, Any], **envelope: Any) -> Request:
    callback = {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event_time": 1515449483, "event": event}
    return arrived(json.dumps(callback | envelope).encode())


def message(**more: Any) -> Request:
    return heard({"type": "message", "channel": "C1", "user": "U1", "text": "hello"} | more)


async def accounts(state: Slack, token: str) -> list[str]:
    return list(await MESSAGE.accounts(asking("slack", "on_message_received", app(state), {}, {"bot_token": token})))


async def received(*sent: Any) -> list[Request]:
    """Return the requests that the app's address receives, in order."""
    requests: list[Request] = []

    def receive(request: httpx2.Request) -> httpx2.Response:
        headers = Headers(request.headers.multi_items())
        requests.append(Request("POST", str(request.url), headers, request.content, datetime.now(UTC)))
        return httpx2.Response(200)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(receive)) as client:
        for send in sent:
            await send(client)
    return requests


async def test_a_bot_hears_the_workspace_its_token_was_made_for() -> None:
    state = Slack()
    state.add_bot("xoxb-1", "T1")
    state.add_bot("xoxb-2", "T2")

    assert await accounts(state, "xoxb-1") == ["team:T1"]
    assert await accounts(state, "xoxb-2") == ["team:T2"]


async def test_a_token_that_is_no_longer_good_is_called_that() -> None:
    with pytest.raises(CredentialsRefused, match="invalid_auth"):
        await accounts(Slack(), "xoxb-1")


async def test_another_error_is_not_blamed_on_the_token() -> None:
    state = Slack(tokens={"xoxb-1": {"ok": False, "error": "ratelimited"}})

    with pytest.raises(ProviderFailed, match="ratelimited") as failure:
        await accounts(state, "xoxb-1")

    assert not isinstance(failure.value, CredentialsRefused)


@pytest.mark.parametrize("more", [{"bot_id": None}, {"is_enterprise_install": True}])
async def test_a_person_s_token_and_an_organization_s_are_refused(more: dict[str, Any]) -> None:
    state = Slack()
    state.add_bot("xoxb-1", "T1", **more)

    with pytest.raises(Invalid, match="token"):
        await accounts(state, "xoxb-1")


def test_a_delivery_is_for_every_workspace_it_names_once() -> None:
    shared = heard(
        {"type": "message"},
        team_id="T1",
        context_team_id="T2",
        authorizations=[{"team_id": "T2"}, {"team_id": None, "enterprise_id": "E1"}, {"team_id": "T3"}],
    )

    assert slack().accounts(shared) == ["team:T1", "team:T2", "team:T3"]
    assert slack().accounts(heard({"type": "message"}, context_team_id="T2")) == ["team:T1", "team:T2"]
    assert slack().accounts(heard({"type": "message"}, authorizations=None)) == ["team:T1"]


@pytest.mark.parametrize(
    ("more", "usual", "with_bots"),
    [
        ({}, True, True),
        ({"subtype": None}, True, True),
        ({"subtype": "file_share"}, True, True),
        ({"subtype": "thread_broadcast"}, True, True),
        ({"subtype": "me_message"}, True, True),
        ({"bot_id": "B1"}, False, True),
        ({"subtype": "bot_message"}, False, True),
        ({"subtype": "bot_message", "bot_id": "B1"}, False, True),
        ({"subtype": "file_share", "bot_id": "B1"}, False, True),
        ({"subtype": "message_changed"}, False, False),
        ({"subtype": "message_deleted"}, False, False),
        ({"subtype": "channel_join"}, False, False),
        ({"subtype": "channel_join", "bot_id": "B1"}, False, False),
        ({"type": "app_mention"}, False, False),
    ],
)
def test_a_message_is_what_somebody_wrote_and_on_request_what_a_bot_wrote(
    more: dict[str, Any], usual: bool, with_bots: bool
) -> None:
    assert bool(events(MESSAGE, message(**more))) is usual
    assert bool(events(MESSAGE, message(**more), {"include_bots": True})) is with_bots


def test_a_trigger_may_listen_to_one_channel() -> None:
    assert events(MESSAGE, message(channel="C1"), {"channel": "C1"})
    assert not events(MESSAGE, message(channel="C2"), {"channel": "C1"})


@pytest.mark.parametrize("channel", ["#general", "general", "C1\n", ""])
def test_a_channel_is_given_by_its_id(channel: str) -> None:
    with pytest.raises(ValidationError):
        MESSAGE.config.model_validate({"channel": channel})


def test_a_reaction_is_about_the_channel_of_its_message() -> None:
    (draft,) = events(REACTION, heard({"type": "reaction_added", "item": {"type": "message", "channel": "C9"}}))

    assert draft.subject == "C9"


def test_an_event_whose_channel_is_an_object_is_read_all_the_same() -> None:
    created = heard({"type": "channel_created", "channel": {"id": "C1", "name": "fun"}})

    assert events(MESSAGE, created) == []
    assert slack().accounts(created) == ["team:T1"]


def test_what_is_no_event_is_none_of_the_trigger_s() -> None:
    limited = arrived(b'{"type": "app_rate_limited", "team_id": "T1", "minute_rate_limited": 1518467820}')

    assert events(MESSAGE, limited) == []
    assert slack().accounts(limited) == ["team:T1"]


@pytest.mark.parametrize("missing", ["event_id", "event_time", "event"])
def test_an_event_without_its_id_is_malformed(missing: str) -> None:
    envelope = json.loads(message().body)
    del envelope[missing]

    with pytest.raises(Malformed, match=missing):
        events(MESSAGE, arrived(json.dumps(envelope).encode()))


async def test_a_delivery_that_slack_tries_again_is_the_same_event_and_not_dropped() -> None:
    state = Slack()
    envelopes: list[dict[str, Any]] = []

    async def first(client: httpx2.AsyncClient) -> None:
        envelopes.append((await happen(state, client, "T1", {"type": "message", "channel": "C1"}))[1])

    async def second(client: httpx2.AsyncClient) -> None:
        await retry(state, client, envelopes[0])

    once, again = await received(first, second)

    for request in (once, again):
        slack().verify(request, [state.signing_secret])
    assert again.headers["x-slack-retry-num"] == "1"
    assert events(MESSAGE, once) == events(MESSAGE, again) != []


async def test_the_question_whether_the_address_is_ours_is_answered_and_is_no_event() -> None:
    state = Slack()

    (asked,) = await received(
        lambda client: verify_url(state, client, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")
    )

    slack().verify(asked, [state.signing_secret])
    answer = answered(slack().handshakes, asked, signed=True)
    assert answer
    assert answer.body == b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
    assert answered(slack().handshakes, message(), signed=True) is None
