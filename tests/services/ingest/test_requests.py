"""Requests as real senders make them: what is answered, kept, told and refused."""

import hmac
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hairtrigger.domain.errors import DocumentNeeded, Invalid, Rejected, WrongMethod
from hairtrigger.domain.event import Draft
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.kit.handshake import Answer
from hairtrigger.kit.incoming import Headers, Incoming, Request
from hairtrigger.kit.trigger import AppWebhook, Provider, Webhook
from hairtrigger.kit.verify import Token
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import github, webhook
from hairtrigger.services.ingest.sender_documents import SenderDocuments
from hairtrigger.store.database import Store
from tests.kit.test_peers import CERTIFICATE_URL, TOPIC, notification
from tests.services.scene import Scene, a_scene
from tests.support.clock import ManualClock
from tests.support.internet import Internet

pytestmark = pytest.mark.anyio

SECRET = "a secret of theirs"


class Amazon:
    """Amazon's two addresses: a certificate, and the confirmation of a subscription."""

    def __init__(self) -> None:
        self.certificate = b""
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        found = scope["path"] == "/" or self.certificate
        await Response(self.certificate or b"ok", 200 if found else 404)(scope, receive, send)


@pytest.fixture
async def scene(store: Store, clock: ManualClock, vault: Vault) -> AsyncIterator[Scene]:
    async with a_scene(store, clock, vault, webhook.provider, github.provider) as scene:
        yield scene


async def trigger(scene: Scene, config: Mapping[str, Any], secret: str = SECRET) -> UUID:
    world = scene.world
    id_ = await world.create("webhook", "on_request", config)
    await world.triggers.rotate_secret(world.caller, id_, secret)
    await world.triggers.enable(world.caller, id_)
    return id_


async def send(
    scene: Scene, id_: UUID | str, body: bytes = b"{}", *, method: str = "POST", query: str = "", **headers: Any
) -> Answer:
    fields = Headers((name.replace("_", "-"), value) for name, value in headers.items())
    url = f"https://hooks.test/v1/webhooks/{id_}{query}"
    return await scene.ingest.receive(str(id_), Request(method, url, fields, body, scene.clock.now()))


def signed(body: bytes, secret: str = SECRET) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


def stripe(scene: Scene, body: bytes, secret: str = SECRET, **ago: float) -> dict[str, Any]:
    seconds = int((scene.clock.now() - timedelta(**ago)).timestamp())
    return {"stripe_signature": f"t={seconds},v1={signed(f'{seconds}.'.encode() + body, secret)}"}


# -- handshakes


async def test_a_question_before_the_address_is_accepted_is_answered_and_recorded(scene: Scene) -> None:
    id_ = await trigger(scene, {"sender": "meta", "verify_token": "mine"})
    query = "?hub.mode=subscribe&hub.challenge=42&hub.verify_token="

    assert await send(scene, id_, b"", method="GET", query=f"{query}mine") == Answer(body=b"42")
    with pytest.raises(Rejected):
        await send(scene, id_, b"", method="GET", query=f"{query}other")
    assert sorted(await scene.world.codes(id_, Kind.WEBHOOK)) == [Code.HANDSHAKE, Code.REJECTED]


async def test_a_question_is_answered_while_the_trigger_is_not_enabled_and_an_event_is_not_taken(scene: Scene) -> None:
    id_ = await trigger(scene, {"sender": "dropbox"})
    await scene.world.triggers.disable(scene.world.caller, id_)

    assert (await send(scene, id_, b"", method="GET", query="?challenge=abc")).body == b"abc"
    assert b"disabled" in (await send(scene, id_, x_dropbox_signature=signed(b"{}"))).body


async def test_an_unsigned_ping_is_answered_and_is_no_event(scene: Scene) -> None:
    id_ = await trigger(scene, {"sender": "asana"})

    answer = await send(scene, id_, x_hook_secret="b537207f20")
    assert (answer.status, answer.headers["X-Hook-Secret"]) == (200, "b537207f20")
    assert await scene.world.events(id_) == []
    assert b"accepted" in (await send(scene, id_, x_hook_signature=signed(b"{}"))).body


async def test_a_signed_question_is_answered_only_if_it_is_signed(scene: Scene) -> None:
    id_ = await trigger(scene, {"sender": "zoom"})
    body = b'{"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}}'
    time = str(int(scene.clock.now().timestamp()))

    with pytest.raises(Rejected):
        await send(scene, id_, body)
    answer = await send(
        scene, id_, body, x_zm_request_timestamp=time, x_zm_signature="v0=" + signed(f"v0:{time}:".encode() + body)
    )
    assert json.loads(answer.body) == {"plainToken": "abc", "encryptedToken": signed(b"abc")}


async def test_own_handshakes_are_data_of_the_configuration(scene: Scene) -> None:
    own = {"method": "GET", "when": {"query:ask": None}, "json_answer": {"answer": "{query:ask}"}, "status": 201}
    id_ = await trigger(scene, {"handshakes": [own], "handshake": "okta"})

    assert await send(scene, id_, b"", method="GET", query="?ask=1") == Answer(
        201, "application/json", b'{"answer":"1"}'
    )
    okta = await send(scene, id_, b"", method="GET", x_okta_verification_challenge="c")
    assert okta.body == b'{"verification":"c"}'


async def test_every_address_answers_whether_it_is_there(scene: Scene) -> None:
    id_ = await trigger(scene, {})

    assert await send(scene, id_, b"", method="HEAD") == Answer()
    origin = await send(scene, id_, b"", method="OPTIONS", webhook_request_origin="events.example")
    assert origin.headers["WebHook-Allowed-Origin"] == "events.example"


async def test_an_app_s_question_is_answered_too(scene: Scene) -> None:
    body = b'{"zen": "Design for failure."}'
    ping = {"x_github_event": "ping", "x_hub_signature_256": f"sha256={signed(body, 'a secret')}"}

    assert (await send(scene, "github", body, **ping)).body == b"pong"
    with pytest.raises(WrongMethod):
        await send(scene, "github", b"", method="GET")


# -- methods


async def test_a_method_that_brings_no_events_is_refused_and_told(scene: Scene) -> None:
    id_ = await trigger(scene, {})

    with pytest.raises(WrongMethod, match="This webhook takes POST, PUT, PATCH, DELETE"):
        await send(scene, id_, b"", method="GET", x_webhook_secret=SECRET)
    (told,) = await scene.world.outcomes(id_, Kind.WEBHOOK)
    assert told.code is Code.WRONG_METHOD


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_other_methods_than_post_bring_events(scene: Scene, method: str) -> None:
    id_ = await trigger(scene, {})

    await send(scene, id_, method=method, query="?source=a", x_webhook_secret=SECRET, x_topic="made")
    await send(scene, id_, method=method, query="?source=b", x_webhook_secret=SECRET)  # from memory
    kept = [json.loads(event.request or "") for event in await scene.world.events(id_)]
    first, second = sorted(kept, key=lambda one: str(one["query"]))
    assert first == {"method": method, "query": {"source": "a"}, "headers": {"x-topic": "made"}}
    assert second == {"method": method, "query": {"source": "b"}, "headers": {}}


async def test_get_brings_events_where_the_user_says_so(scene: Scene) -> None:
    id_ = await trigger(scene, {"methods": ["GET"], "query": "key"})

    await send(scene, id_, b"", method="GET", query="?key=a+secret+of+theirs&door=open")
    (event,) = await scene.world.events(id_)
    assert event.request is not None
    assert json.loads(event.request)["query"] == {"door": "open"}


# -- repeats


async def test_a_repeat_names_the_event_it_repeats_and_the_setting(scene: Scene) -> None:
    id_ = await trigger(scene, {"sender": "calendly"})
    seconds = int(scene.clock.now().timestamp())

    async def once(at: int) -> None:
        value = f"t={at},v1={signed(f'{at}.job failed'.encode())}"
        await send(scene, id_, b"job failed", calendly_webhook_signature=value)

    await once(seconds)
    scene.passes(seconds=30)
    await once(seconds + 30)
    (event,) = await scene.world.events(id_)
    (told,) = await scene.world.outcomes(id_, Kind.WEBHOOK)
    assert told.detail == (
        f"A repeat of an event that is already stored: {event.id}. A request with the same signed content counts as a "
        "repeat and starts nothing (repeats: by_content)."
    )
    assert told.detail in await scene.summary(id_, at=scene.clock.now())


async def test_two_equal_requests_in_one_moment_are_one_event_and_a_repeat(scene: Scene) -> None:
    id_ = await trigger(scene, {"scheme": "hmac", "header": "X-Signature"})
    for _ in range(3):
        await send(scene, id_, x_signature=signed(b"{}"))

    assert len(await scene.world.events(id_)) == 1
    assert await scene.world.codes(id_, Kind.WEBHOOK) == [Code.DUPLICATE] * 2


async def test_enabling_says_what_counts_as_a_repeat(scene: Scene) -> None:
    id_ = await trigger(scene, {"sender": "stripe"})
    found = await scene.world.trigger(id_)

    assert found.config["data"] == "read"
    assert found.webhook_data is not None
    assert found.webhook_data["repeats"] == scene.world.triggers.repeats_of(found)
    assert "/id" in found.webhook_data["repeats"]


# -- refusals that say why


async def test_a_late_request_and_a_wrong_clock_are_told_apart(scene: Scene) -> None:
    id_ = await trigger(scene, {"sender": "stripe"})

    with pytest.raises(Rejected):
        await send(scene, id_, **stripe(scene, b"{}", hours=1))
    scene.passes(minutes=10)
    assert "1 hour behind our clock; 5 minutes are allowed" in await scene.summary(
        id_, at=scene.clock.now() - timedelta(minutes=10)
    )
    with pytest.raises(Rejected):
        await send(scene, id_, **stripe(scene, b"{}", minutes=-6))
    assert "6 minutes ahead of our clock" in await scene.summary(id_, at=scene.clock.now())


async def test_a_request_that_is_signed_with_a_replaced_secret_says_so(scene: Scene) -> None:
    id_ = await trigger(scene, {"sender": "stripe"})
    await scene.world.triggers.rotate_secret(scene.world.caller, id_, "the next one", timedelta())
    await scene.world.triggers.rotate_secret(scene.world.caller, id_, "and the next", timedelta())
    until = scene.clock.now()
    scene.passes(minutes=5)

    with pytest.raises(Rejected):
        await send(scene, id_, **stripe(scene, b"{}"))
    told = (
        f"It matches a secret of the trigger that was replaced, and that was valid until {until:%Y-%m-%d %H:%M:%S} UTC."
    )
    assert told in await scene.summary(id_, at=scene.clock.now())
    with pytest.raises(Rejected, match="another secret, or the body was changed on its way"):
        await send(scene, id_, **stripe(scene, b"{}", "never ours"))


async def test_a_secret_that_never_could_match_is_refused_where_it_is_set(scene: Scene) -> None:
    world = scene.world
    for sender, secret, good in (
        ("adyen", "no hex", "00ff"),
        ("microsoft_teams", "no base64!", "c2VjcmV0"),
        ("discord", "not a key", "00" * 32),
        ("sendgrid", "c2VjcmV0", None),
        ("chargebee", "only-a-password", "user:password"),
        ("aws_sns", "not an arn", TOPIC),
    ):
        id_ = await world.create("webhook", "on_request", {"sender": sender})
        with pytest.raises(Invalid, match="would refuse every request"):
            await world.triggers.rotate_secret(world.caller, id_, secret)
        if good:
            await world.triggers.rotate_secret(world.caller, id_, f"{good}\n")
    public_key = await world.create("webhook", "on_request", {"sender": "discord"})
    with pytest.raises(Invalid, match="The sender dictates this secret"):
        await world.triggers.rotate_secret(world.caller, public_key)


PUSH = {"repository": {"id": 1, "full_name": "o/r"}, "ref": "refs/heads/dev"}


def _unwanted(incoming: Incoming[github.Branch]) -> Iterable[Draft]:
    on_push = github.provider.triggers[0]
    assert isinstance(on_push, AppWebhook)
    return on_push.events(incoming)


async def test_a_push_to_another_branch_names_both_branches(store: Store, clock: ManualClock, vault: Vault) -> None:
    """The same holds for other filters: the reason is in the outcome, not only that the event is not wanted."""
    on_push = Webhook(
        id="on_push",
        name="Push",
        description="Push.",
        config=github.Branch,
        verify=Token("x-webhook-secret"),
        events=_unwanted,
    )
    provider = Provider(id="pushes", name="Pushes", triggers=(on_push,))
    async with a_scene(store, clock, vault, provider) as scene:
        world = scene.world
        id_ = await world.create("pushes", "on_push", {"repository": "o/r", "branch": "main"})
        await world.triggers.rotate_secret(world.caller, id_, SECRET)
        await world.triggers.enable(world.caller, id_)
        answer = await send(scene, id_, json.dumps(PUSH).encode(), x_webhook_secret=SECRET, x_github_event="push")
        assert json.loads(answer.body)["status"] == "ignored"
        assert "It is a push to refs/heads/dev; this trigger listens to main." in await scene.summary(
            id_, at=clock.now()
        )


# -- documents of senders


async def sns(scene: Scene, id_: UUID, **changes: str) -> Answer:
    one, _ = notification(scene.clock.now(), **changes)
    return await send(scene, id_, one.request.body, content_type="text/plain; charset=UTF-8")


async def test_a_certificate_is_fetched_after_the_answer_and_then_known_to_all_processes(
    scene: Scene, store: Store
) -> None:
    amazon = Amazon()
    internet = Internet({"https://sns.us-east-1.amazonaws.com": amazon})
    documents = SenderDocuments(store, scene.clock, lambda _: internet)
    object.__setattr__(scene.ingest, "documents", documents)
    id_ = await trigger(scene, {"sender": "aws_sns"}, TOPIC)

    with pytest.raises(DocumentNeeded):
        await sns(scene, id_)
    assert internet.asked == []  # nothing goes out between a request and its answer
    await documents.fetch_waiting()
    (told,) = await scene.world.outcomes(id_, Kind.WEBHOOK)
    assert (told.code, "could not be fetched" in told.detail) == (Code.FAILED, True)

    amazon.certificate = notification(scene.clock.now())[1].encode()
    with pytest.raises(DocumentNeeded):
        await sns(scene, id_)
    await documents.fetch_waiting()
    assert b"accepted" in (await sns(scene, id_)).body
    assert internet.asked == [f"GET {CERTIFICATE_URL}"] * 2
    (event,) = await scene.world.events(id_)
    assert (event.key, event.type) == ("22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "Notification")


async def test_a_subscription_is_confirmed_before_its_question_is_answered(scene: Scene, store: Store) -> None:
    amazon = Amazon()
    amazon.certificate = notification(scene.clock.now())[1].encode()
    internet = Internet({"https://sns.us-east-1.amazonaws.com": amazon})
    documents = SenderDocuments(store, scene.clock, lambda _: internet)
    object.__setattr__(scene.ingest, "documents", documents)
    id_ = await trigger(scene, {"sender": "aws_sns"}, TOPIC)
    url = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=abc"
    question = {"Type": "SubscriptionConfirmation", "SubscribeURL": url, "Token": "abc"}

    for _ in range(2):  # the certificate, and then the confirmation
        with pytest.raises(DocumentNeeded):
            await sns(scene, id_, **question)
        await documents.fetch_waiting()
    assert (await sns(scene, id_, **question)).status == 200
    assert internet.asked == [f"GET {CERTIFICATE_URL}", f"GET {url}"]
    assert await scene.world.events(id_) == []

    with pytest.raises(Rejected, match="not one of this sender"):
        await sns(scene, id_, **{**question, "SubscribeURL": "https://internal.example/"})
