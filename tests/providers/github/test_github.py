import json
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from pydantic import ValidationError

from hairtrigger.domain.errors import CredentialsRefused, Invalid, Malformed, MissingAtProvider
from hairtrigger.kit.handshake import answered
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.trigger import AppWebhook
from tests.providers.asking import NOW, arrived, asking, events, provider, trigger
from tests.providers.github.fake import GitHub, app, deliver, signed

pytestmark = pytest.mark.anyio

PUSH: AppWebhook[Any] = trigger("github", "on_push")
ISSUE_OPENED: AppWebhook[Any] = trigger("github", "on_issue_opened")
REPOSITORY = {"repository": "octocat/hello"}


def pushed(**more: Any) -> bytes:
    payload = {"ref": "refs/heads/main", "deleted": False, "repository": {"id": 7, "full_name": "octocat/hello"}}
    return json.dumps(payload | more).encode()


async def accounts(state: GitHub, token: str = "ghu_right", **config: Any) -> list[str]:
    return list(await PUSH.accounts(asking("github", "on_push", app(state), config, {"token": token})))


async def test_who_may_push_to_a_repository_hears_it_by_its_number() -> None:
    state = GitHub()
    state.add_repository("octocat/hello", 7, admin=False, push=True)
    state.add_repository("octocat/mine", 8, admin=True)

    assert await accounts(state, repository="octocat/hello") == ["repository:7"]
    assert await accounts(state, repository="octocat/mine") == ["repository:8"]


async def test_a_repository_that_has_a_new_name_is_found_by_the_old_one() -> None:
    state = GitHub(renamed={"octocat/old": "octocat/hello"})
    state.add_repository("octocat/hello", 7, push=True)

    assert await accounts(state, repository="octocat/old") == ["repository:7"]


@pytest.mark.parametrize("permissions", [{}, {"pull": True}, {"push": False, "admin": False, "triage": True}])
async def test_a_repository_that_anybody_can_read_is_not_anybody_s_to_listen_to(permissions: dict[str, bool]) -> None:
    state = GitHub()
    state.add_repository("torvalds/linux", 2325298, **permissions)

    with pytest.raises(Invalid) as refusal:
        await accounts(state, repository="torvalds/linux")

    assert [issue.path for issue in refusal.value.issues] == [("repository",)]


async def test_a_repository_that_is_not_there_is_missing() -> None:
    with pytest.raises(MissingAtProvider):
        await accounts(GitHub(), repository="octocat/hello")


async def test_a_token_that_is_no_longer_good_is_called_that() -> None:
    for config in ({"repository": "octocat/hello"}, {"installation_id": 1}):
        with pytest.raises(CredentialsRefused):
            await accounts(GitHub(), "ghu_wrong", **config)


async def test_an_installation_is_found_on_the_last_of_many_pages() -> None:
    state = GitHub()
    for number in range(100, 350):
        state.add_installation(number, f"owner{number}", number, "User")
    state.add_installation(350, "octocat", 1, "User")

    assert await accounts(state, installation_id=350) == ["installation:350"]


@pytest.mark.parametrize("listed", [0, 99, 100, 200])
async def test_an_installation_that_is_not_listed_is_somebody_else_s(listed: int) -> None:
    state = GitHub()
    for number in range(1, listed + 1):
        state.add_installation(number, "octocat", 1, "User")

    with pytest.raises(Invalid) as refusal:
        await accounts(state, installation_id=1000)

    assert [issue.path for issue in refusal.value.issues] == [("installation_id",)]


async def test_an_organization_s_installation_is_its_administrators_to_listen_to() -> None:
    state = GitHub(memberships={"acme": "admin"})
    state.add_installation(5, "acme", 50, "Organization")

    assert await accounts(state, installation_id=5) == ["installation:5"]


@pytest.mark.parametrize("memberships", [{}, {"acme": "member"}, {"other": "admin"}])
async def test_who_only_reads_one_repository_of_an_organization_does_not_hear_all(memberships: dict[str, str]) -> None:
    state = GitHub(memberships=memberships)
    state.add_installation(5, "acme", 50, "Organization")

    with pytest.raises(Invalid):
        await accounts(state, installation_id=5)


@pytest.mark.parametrize("kind", ["User", "Enterprise", "Bot", ""])
async def test_an_installation_in_somebody_else_s_account_is_refused(kind: str) -> None:
    state = GitHub(memberships={"hubot": "admin"})
    state.add_installation(5, "hubot", 2, kind)

    with pytest.raises(Invalid):
        await accounts(state, installation_id=5)


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({}, "installation_id"),
        ({"repository": "octocat/hello", "installation_id": 1}, "installation_id"),
        ({"installation_id": 0}, "installation_id"),
        ({"repository": "octocat"}, "repository"),
        ({"repository": "octocat/.."}, "repository"),
        ({"repository": "octocat/hello/../.."}, "repository"),
        ({"repository": "octocat/hello?x"}, "repository"),
        ({"repository": "octocat/hello\n"}, "repository"),
    ],
)
def test_a_source_is_one_repository_or_one_installation(config: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        PUSH.config.model_validate(config)

    assert [problem["loc"] for problem in refusal.value.errors()] == [(wrong,)]


def test_a_delivery_is_for_its_installation_and_its_repository() -> None:
    github = provider("github").app
    assert github

    assert github.accounts(arrived(pushed(installation={"id": 5}))) == ["installation:5", "repository:7"]
    assert github.accounts(arrived(pushed())) == ["repository:7"]
    assert github.accounts(arrived(b'{"action": "created"}')) == []


@pytest.mark.parametrize(
    ("branch", "ref", "heard"),
    [
        (None, "refs/heads/main", True),
        (None, "refs/tags/v1", True),
        ("main", "refs/heads/main", True),
        ("main", "refs/heads/domain", False),
        ("main", "refs/tags/main", False),
        ("feature/a", "refs/heads/feature/a", True),
    ],
)
def test_a_push_can_be_of_one_branch_only(branch: str | None, ref: str, heard: bool) -> None:
    request = arrived(pushed(ref=ref), {"x-github-event": "push"})

    assert bool(events(PUSH, request, {**REPOSITORY, "branch": branch})) is heard


def test_a_branch_that_was_deleted_is_no_push() -> None:
    assert events(PUSH, arrived(pushed(deleted=True), {"x-github-event": "push"}), REPOSITORY) == []


def test_a_pull_request_that_was_closed_is_not_merged() -> None:
    body = b'{"action": "closed", "pull_request": {"id": 1, "merged": false}}'
    merged = trigger("github", "on_pull_request_merged")

    assert events(merged, arrived(body, {"x-github-event": "pull_request"}), REPOSITORY) == []


@pytest.mark.parametrize(
    ("event", "action"), [("issues", "edited"), ("issues", None), ("issue_comment", "opened"), ("", "opened")]
)
def test_other_events_are_none_of_the_trigger_s(event: str, action: str | None) -> None:
    body = json.dumps({"action": action, "issue": {"id": 1}}).encode()

    assert events(ISSUE_OPENED, arrived(body, {"x-github-event": event}), REPOSITORY) == []


@pytest.mark.parametrize(
    "other", [one for one in provider("github").triggers if one.id != "on_push"], ids=lambda one: one.id
)
def test_the_header_that_is_not_signed_does_not_make_a_push_something_else(other: AppWebhook[Any]) -> None:
    for event in ("push", "issues", "issue_comment", "pull_request", "release", "star", "workflow_run"):
        assert events(other, arrived(pushed(action="created"), {"x-github-event": event}), REPOSITORY) == []


async def test_a_payload_in_a_form_is_the_same_event_s_json() -> None:
    state = GitHub()
    received: list[Request] = []

    def receive(request: httpx2.Request) -> httpx2.Response:
        received.append(Request("POST", str(request.url), Headers(request.headers.multi_items()), request.content, NOW))
        return httpx2.Response(200)

    payload = {"action": "opened", "issue": {"id": 1, "title": "50% & more+ü"}, "installation": {"id": 5}}
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(receive)) as client:
        await deliver(state, client, "issues", payload, form=True)
    github = provider("github").app
    assert github

    github.verify(received[0], [state.webhook_secret])
    (draft,) = events(ISSUE_OPENED, received[0], REPOSITORY)

    assert github.accounts(received[0]) == ["installation:5"]
    assert json.loads(draft.data) == payload
    assert draft.content_type == "application/json"


@pytest.mark.parametrize(
    "body",
    [
        *[
            b"",
            b"{}",
            b"other={}",
            b"payload=",
            b"payload={}&payload={}",
            b"payload={}&other",
            b"payload={}%FF",
            b"\xff",
        ],
        *[b"payload=%7B", b"payload"],
    ],
)
def test_a_form_without_one_payload_is_malformed(body: bytes) -> None:
    headers = {"x-github-event": "issues", "content-type": "application/x-www-form-urlencoded; charset=utf-8"}

    with pytest.raises(Malformed):
        events(ISSUE_OPENED, arrived(body, headers), REPOSITORY)


def test_what_is_called_a_form_and_is_json_is_malformed() -> None:
    body = urlencode({"payload": "[]"}).encode()

    with pytest.raises(Malformed):
        events(ISSUE_OPENED, arrived(body, signed(body, "s", "issues")), REPOSITORY)


def test_the_first_delivery_of_all_is_answered() -> None:
    github = provider("github").app
    assert github

    ping = arrived(b'{"zen": "Design for failure.", "hook_id": 1}', {"x-github-event": "ping"})
    answer = answered(github.handshakes, ping, signed=True)

    assert answer
    assert answer.status == 200


async def test_calls_say_which_version_of_the_api_they_mean() -> None:
    headers = provider("github").auth.carried({"token": "ghu_right"}).headers

    assert headers == {
        "authorization": "Bearer ghu_right",
        "accept": "application/vnd.github+json",
        "x-github-api-version": "2022-11-28",
    }
