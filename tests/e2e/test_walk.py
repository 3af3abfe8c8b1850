"""A walk through the product as its users take it: the real process, real payloads, signers we did not write.

Everything that the service talks to is on this machine. GitHub, Slack, Stripe and Typeform are small programs with the
APIs of these providers. The host that the polling code asks is a TLS server, and the service is told to connect to that
server instead.
"""

import asyncio
import json
import shlex
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook

from tests.e2e.process import Client, Service
from tests.providers.github import fake as github
from tests.providers.github.fake import GitHub
from tests.providers.rss import fake as feed
from tests.providers.rss.fake import Item, Site
from tests.providers.slack import fake as slack
from tests.providers.slack.fake import Slack
from tests.providers.stripe import fake as stripe
from tests.providers.stripe.fake import Stripe
from tests.providers.typeform import fake as typeform
from tests.providers.typeform.fake import Typeform
from tests.support import node
from tests.support.certificates import certificate_for, serving_with
from tests.support.contract_page import POLLING_CODE
from tests.support.servers import Seen, Server, answering, response, serving
from tests.support.waiting import PATIENCE, until
from tests.support.web import mounted
from tests.targets.aimock import running_aimock

pytestmark = pytest.mark.anyio

REPOSITORY = 186853002  # the repository of the payloads in @octokit/webhooks-examples
GITHUB_SECRET = "the app's webhook secret"
SLACK_SECRET = "the app's signing secret"
PASSWORD = "correct horse battery staple"


@dataclass
class World:
    """Everything outside the service."""

    github: GitHub = field(default_factory=lambda: GitHub(webhook_secret=GITHUB_SECRET))
    slack: Slack = field(default_factory=lambda: Slack(signing_secret=SLACK_SECRET))
    stripe: Stripe = field(default_factory=Stripe)
    typeform: Typeform = field(default_factory=Typeform)
    site: Site = field(default_factory=Site)
    issues: list[dict[str, Any]] = field(default_factory=list)
    asked_for_issues: list[Seen] = field(default_factory=list)
    url: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    async def answer_issues(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        self.asked_for_issues.append(seen)
        since = seen.path.partition("since=")[2]
        found = [issue for issue in self.issues if issue["created_at"] > since]
        writer.write(response(200, json.dumps(found).encode(), ("Content-Type", "application/json")))


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    made = World()
    made.github.add_repository("Codertocat/Hello-World", REPOSITORY, admin=True)
    made.slack.add_bot("xoxb-right", "T1")
    apps = {
        "/github": github.app(made.github),
        "/slack": slack.app(made.slack),
        "/stripe": stripe.app(made.stripe),
        "/typeform": typeform.app(made.typeform),
        "/site": feed.app(made.site),
    }
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate = certificate_for("api.example.com", folder)
        made.url = await stack.enter_async_context(mounted(apps))
        tracker = await stack.enter_async_context(serving(made.answer_issues, tls=serving_with(certificate)))
        made.environment = {
            "SSL_CERT_FILE": str(certificate),
            "HAIRTRIGGER_EGRESS_ALLOW": '["127.0.0.0/8"]',
            "HAIRTRIGGER_EGRESS_CONNECT_TO": json.dumps({"api.example.com:443": f"127.0.0.1:{tracker.port}"}),
            "HAIRTRIGGER_APP_SECRETS": json.dumps({"github": [GITHUB_SECRET], "slack": [SLACK_SECRET]}),
            "HAIRTRIGGER_PROVIDER_URLS": json.dumps(
                {
                    "github": f"{made.url}/github/",
                    "slack": f"{made.url}/slack/api/",
                    "stripe": f"{made.url}/stripe/",
                    "typeform": f"{made.url}/typeform/",
                }
            ),
            "HAIRTRIGGER_LEAST_POLLING_SECONDS": "1",
        }
        yield made


@pytest.fixture(scope="module")
async def service(world: World) -> AsyncIterator[Service]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-e2e-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        running = Service(folder, world.environment)
        await running.start()
        yield running
        await running.stop()


@dataclass
class User:
    """A user of a new organisation, with a project and its target."""

    client: Client
    project: str
    signing_secret: str
    target: Server

    async def started(self, count: int) -> list[Seen]:
        """Return what the target received, when it has received at least `count` requests."""
        return await until(lambda: _true(self.target.seen if len(self.target.seen) >= count else []))

    async def enabled(self, provider: str, trigger: str, params: dict[str, Any], secrets: dict[str, str]) -> str:
        """Make and enable a trigger over the Triggers API, with a connection if secrets are given; return its id."""
        connection = None
        if secrets:
            held = {"provider_id": provider, "secrets": secrets}
            connection = (await self.client.ask("POST", "/v1/connections", held, status=201))["id"]
        body = {
            "provider_id": provider,
            "trigger_id": trigger,
            "trigger_config_params": params,
            "connection_id": connection,
        }
        made = await self.client.ask("POST", f"/projects/{self.project}/triggers", body, status=201)
        assert made["status"] == "DISABLED"
        enabled = await self.client.ask("POST", f"/triggers/{made['project_trigger_id']}/enable")
        assert enabled["status"] == "ENABLED"
        return str(enabled["project_trigger_id"])


@pytest.fixture
async def user(service: Service) -> AsyncIterator[User]:
    operator = Client(service, await _token(service, *service.login))
    email = f"{uuid4()}@example.com"
    body = {"name": "Ada's", "email": email, "password": PASSWORD}
    await operator.ask("POST", "/v1/organizations", body, status=201)
    await operator.close()
    client = Client(service, await _token(service, email, PASSWORD))
    async with serving(answering()) as target:
        new = {"name": "Walk", "target": {"kind": "workflow", "url": target.url}}
        project = await client.ask("POST", "/v1/projects", new, status=201)
        yield User(client, project["id"], project["signing_secret"], target)
        for trigger in await client.ask("GET", "/triggers"):
            await client.ask("POST", f"/triggers/{trigger['project_trigger_id']}/disable")
    await client.close()


async def test_the_printed_curl_makes_something_happen(service: Service) -> None:
    """The test reads the command as curl would, because not every machine has curl."""
    command, option, data, *given, url = shlex.split(service.curl.replace("\\\n", " "))
    assert (command, option, given[::2]) == ("curl", "-d", ["-H", "-H"])
    headers = dict(one.split(": ") for one in given[1::2])
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.post(url, content=data, headers=headers)
    assert answer.json()["status"] == "accepted"
    await until(lambda: _true('{"hello": "world"}' in service.output))
    (id_,) = answer.json()["events"]
    api = Client(service, service.api_key)
    event = await api.ask("GET", f"/v1/events/{id_}")
    await api.close()
    assert (event["content_type"], event["body"], event["request"]["method"]) == ("application/json", data, "POST")


async def test_real_github_payloads_start_the_workflows_that_listen_and_no_others(
    service: Service, world: World, user: User
) -> None:
    for trigger in ("on_push", "on_issue_opened", "on_pull_request_opened"):
        await user.enabled("github", trigger, {"repository": "Codertocat/Hello-World"}, {"token": world.github.token})
    deliveries = _signed_by_octokit()
    assert len(deliveries) == 329
    wanted = [one["body"] for one in deliveries if one["repository"] == REPOSITORY and _listened_for(one)]
    anybody = Client(service)
    answers = [await _deliver(anybody, one) for one in deliveries]
    assert sum(answer["status"] == "accepted" for answer in answers) == len(set(wanted)) == 11

    seen = await user.started(11)
    assert sorted(_data_of(one.body) for one in seen) == sorted(set(wanted)), "the payloads are not byte for byte"
    for one in seen:
        Webhook(user.signing_secret).verify(one.body, dict(one.headers))
        event = from_structured_event(HTTPMessage(dict(one.headers), one.body), JSONFormat())
        assert event.get_type() in {"github.on_push", "github.on_issue_opened", "github.on_pull_request_opened"}

    again = [await _deliver(anybody, one) for one in deliveries if one["body"] in wanted]
    assert {answer["status"] for answer in again} == {"duplicate"}
    forged = {**deliveries[0], "body": deliveries[0]["body"].replace("1", "2", 1)}
    assert (await _deliver(anybody, forged, status=401))["detail"]
    await anybody.close()


async def test_the_printed_polling_code_runs_unchanged(service: Service, world: World, user: User) -> None:
    odeus = Client(service, await _api_key(user))
    made = await odeus.ask("POST", "/integrations/v1/create", {"name": "Tracker"}, status=201)
    integration = made["integration"]["id"]
    auth = {"authType": "API_KEY", "authFields": [{"slug": "API_TOKEN", "label": "Token", "type": "PASSWORD"}]}
    await odeus.ask("PATCH", f"/integrations/v1/{integration}/auth", auth)
    body = {
        "name": "New Issue Created",
        "pollingCode": POLLING_CODE,
        "inputFields": [{"label": "Project ID", "type": "TEXT", "required": True}],
    }
    path = f"/api/public/integrations/v1/{integration}/triggers/create"
    trigger = (await odeus.ask("POST", path, body, status=201))["trigger"]
    assert (trigger["slug"], trigger["pollingCode"]) == ("new-issue-created", POLLING_CODE)

    params = {"projectId": "proj_123", "polling_frequency": "3600"}
    id_ = await user.enabled(integration, trigger["slug"], params, {"API_TOKEN": "tok_1"})

    async def first_poll() -> Any:
        return (await user.client.ask("GET", f"/v1/project-triggers/{id_}"))["last_at"]

    await until(first_poll)
    [first] = world.asked_for_issues
    assert first.header("authorization") == "Bearer tok_1"
    before = first.path.partition("since=")[2]

    now = datetime.now(UTC)
    world.issues += [_issue(1, now + timedelta(seconds=1)), _issue(2, now + timedelta(seconds=2))]
    polled = await user.client.ask("POST", f"/v1/project-triggers/{id_}/poll")
    assert (polled["code"], len(polled["event_ids"])) == ("accepted", 2)
    again = await user.client.ask("POST", f"/v1/project-triggers/{id_}/poll")
    assert (again["code"], again["repeats"]) == ("duplicate", 2), "its issues are newer than the poll's start"
    earlier, later = (_polled_at(asked) for asked in world.asked_for_issues[-2:])
    assert later > earlier > datetime.fromisoformat(before)

    seen = await user.started(2)
    events = [json.loads(one.body)["data"] for one in seen]
    assert sorted(events, key=lambda event: event["id"]) == [
        {
            "id": issue["id"],
            "title": issue["title"],
            "description": issue["description"],
            "createdAt": issue["created_at"],
        }
        for issue in world.issues
    ]
    cursor = (await user.client.ask("GET", f"/triggers/{id_}"))["cursor_data"]
    world.issues.append({"id": 3, "created_at": "9999"})
    broken = POLLING_CODE.replace("issues.map", "issues.nap")
    path = f"/integrations/v1/{integration}/triggers/{trigger['id']}"
    await odeus.ask("PUT", path, {**body, "pollingCode": broken})
    failed = await user.client.ask("POST", f"/v1/project-triggers/{id_}/poll")
    assert failed["code"] == "failed"
    assert "TypeError" in failed["detail"]
    assert (await user.client.ask("GET", f"/triggers/{id_}"))["cursor_data"] == cursor, "a throw moved the cursor"
    await odeus.close()


async def test_a_schedule_fires_at_its_planned_times(user: User) -> None:
    id_ = await user.enabled("schedule", "on_schedule", {"interval": 1}, {})
    seen = await user.started(3)
    planned = sorted(datetime.fromisoformat(json.loads(one.body)["data"]["scheduled_for"]) for one in seen)
    assert {later - earlier for earlier, later in pairwise(planned)} == {timedelta(seconds=1)}
    clock = await user.client.ask("GET", f"/v1/project-triggers/{id_}")
    assert len(clock["upcoming"]) == 10


async def test_webhooks_are_registered_verified_and_taken_down(service: Service, world: World, user: User) -> None:
    charge = await user.enabled("stripe", "on_customer_created", {}, {"api_key": world.stripe.api_key})
    form = await user.enabled(
        "typeform", "on_form_submitted", {"form_id": world.typeform.forms[0]}, {"token": world.typeform.token}
    )
    [endpoint] = world.stripe.endpoints
    assert endpoint["url"] == f"{service.url}/v1/webhooks/{charge}"

    async with httpx2.AsyncClient(trust_env=False) as provider:
        [answer] = await stripe.happen(world.stripe, provider, "customer.created", id="cus_1")
        assert answer.json()["status"] == "accepted"
        [repeat] = await stripe.deliver(world.stripe, provider, world.stripe.events[-1])
        assert repeat.json()["status"] == "duplicate"
        [answer] = await typeform.submit(world.typeform, provider, world.typeform.forms[0], [])
        assert answer.json()["status"] == "accepted"
    await user.started(2)

    for id_ in (charge, form):
        await user.client.ask("POST", f"/triggers/{id_}/disable")
        await user.client.ask("DELETE", f"/triggers/{id_}", status=204)
    assert (world.stripe.endpoints, world.typeform.webhooks) == ([], {})


async def test_slack_is_answered_and_its_messages_routed_by_team(service: Service, world: World, user: User) -> None:
    world.slack.request_url = f"{service.url}/v1/webhooks/slack"
    await user.enabled("slack", "on_message_received", {}, {"bot_token": "xoxb-right"})
    message = {"type": "message", "channel": "C1", "user": "U2", "text": "hello", "ts": "1.0"}
    async with httpx2.AsyncClient(trust_env=False) as provider:
        assert (await slack.verify_url(world.slack, provider, "a challenge")).text == "a challenge"
        answer, envelope = await slack.happen(world.slack, provider, "T1", message)
        assert answer.json()["status"] == "accepted"
        assert (await slack.retry(world.slack, provider, envelope)).json()["status"] == "duplicate"
        other, _ = await slack.happen(world.slack, provider, "T2", message)
        assert other.json()["status"] == "ignored"
    [seen] = await user.started(1)
    assert json.loads(seen.body)["data"] == envelope


async def test_a_feed_fires_for_what_is_new_after_it_was_enabled(world: World, user: User) -> None:
    world.site.items = [Item("old")]
    id_ = await user.enabled("rss", "on_item_published", {"url": f"{world.url}/site/feed", "polling_frequency": 1}, {})
    world.site.items = [Item("new", "News", "Mon, 01 Jan 2001 00:00:00 GMT"), Item("old")]
    [seen] = await user.started(1)
    assert json.loads(seen.body)["data"]["title"] == "News"
    samples = await user.client.ask("GET", f"/api/v0/project-triggers/{id_}/test-samples")
    assert samples["source"] == "live"
    assert {sample["title"] for sample in samples["samples"]} >= {"News"}


async def test_an_event_opens_a_conversation_with_an_agent(user: User, service: Service) -> None:
    reply = {"fixtures": [{"match": {"userMessage": "hello"}, "response": {"content": "Hello to you."}}]}
    with tempfile.TemporaryDirectory() as folder:
        fixtures = Path(folder, "fixtures.json")
        fixtures.write_text(json.dumps(reply))
        with running_aimock(fixtures) as aimock:
            target = {"kind": "agent", "base_url": f"{aimock.url}/v1", "model": "gpt-4o", "template": "{{data.text}}"}
            body = {"name": "Agent", "target": target, "api_key": "sk-test"}
            user.project = (await user.client.ask("POST", "/v1/projects", body, status=201))["id"]
            trigger = {"provider_id": "webhook", "trigger_id": "on_request"}
            made = await user.client.ask("POST", f"/projects/{user.project}/triggers", trigger, status=201)
            id_ = made["project_trigger_id"]
            secret = (await user.client.ask("POST", f"/v1/project-triggers/{id_}/secret", {}))["secret"]
            await user.client.ask("POST", f"/triggers/{id_}/enable")
            answer = await user.client.post_raw(
                f"/v1/webhooks/{id_}", b'{"text": "hello"}', {"x-webhook-secret": secret}
            )
            assert answer.json()["status"] == "accepted"

            async def delivered() -> Any:
                path = f"/v1/deliveries?project_id={user.project}&status=delivered"
                return (await user.client.ask("GET", path))["data"]

            [delivery] = await until(delivered)
    detail = await user.client.ask("GET", f"/v1/deliveries/{delivery['id']}")
    conversation = detail["history"][-1]["conversation"]
    assert [(message["role"], message["content"]) for message in conversation] == [
        ("user", "hello"),
        ("assistant", "Hello to you."),
    ]


async def _token(service: Service, email: str, password: str) -> str:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        answer = await client.post(f"{service.url}/token", data={"username": email, "password": password})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def _api_key(user: User) -> str:
    body = {"name": "Integrations", "scopes": ["INTEGRATION_API"]}
    return str((await user.client.ask("POST", "/v1/api-keys", body, status=201))["key"])


def _signed_by_octokit() -> list[dict[str, Any]]:
    """Return every payload of GitHub's own collection, signed by GitHub's own library."""
    folder = node.installed("@octokit/webhooks-examples@7.6.1", "@octokit/webhooks-methods@6.0.0")
    script = """
        import { createRequire } from "node:module";
        import { sign } from "@octokit/webhooks-methods";
        const collection = createRequire(import.meta.url)("@octokit/webhooks-examples");
        const signed = [];
        for (const { name, examples } of collection.default ?? collection) {
          for (const example of examples) {
            const body = JSON.stringify(example, null, 2);
            signed.push({ name, body, action: example.action ?? null, repository: example.repository?.id ?? null,
              signature: await sign(process.argv[2], body) });
          }
        }
        console.log(JSON.stringify(signed));
    """
    signed: list[dict[str, Any]] = node.run(folder, script, GITHUB_SECRET)
    return signed


def _listened_for(delivery: dict[str, Any]) -> bool:
    if delivery["name"] == "push":
        return not json.loads(delivery["body"])["deleted"]
    return delivery["name"] in {"issues", "pull_request"} and delivery["action"] == "opened"


async def _deliver(anybody: Client, delivery: dict[str, Any], *, status: int = 200) -> Any:
    headers = {
        "content-type": "application/json",
        "x-github-event": delivery["name"],
        "x-github-delivery": str(UUID(int=1)),
        "x-hub-signature-256": delivery["signature"],
    }
    answer = await anybody.post_raw("/v1/webhooks/github", delivery["body"].encode(), headers)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.headers["content-type"] == "application/json" else {"status": "handshake"}


def _data_of(body: bytes) -> str:
    """Return the value of `"data":` as it was sent."""
    text = body.decode()
    start = text.index('"data":') + len('"data":')
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[start:end]


def _issue(number: int, at: datetime) -> dict[str, Any]:
    created_at = f"{at:%Y-%m-%dT%H:%M:%S}.000Z"
    return {"id": number, "title": f"Issue {number}", "description": "É 1.0", "created_at": created_at, "votes": 3}


def _polled_at(seen: Seen) -> datetime:
    return datetime.fromisoformat(seen.path.partition("since=")[2])


async def _true(value: Any) -> Any:
    return value
