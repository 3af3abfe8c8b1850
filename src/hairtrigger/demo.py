"""Runs `serve --demo`, a project whose triggers fire by themselves, without any network outside this machine.

This module also plays the other side of each trigger, under `/demo`: a JSON feed with a new issue every few seconds,
GitHub's API, and the workflow that is started. It sets up the triggers through the public APIs, as a user would.
"""

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import structlog
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from hairtrigger.credentials import Credentials
from hairtrigger.main import Application
from hairtrigger.settings import Settings

log = structlog.get_logger()

_REPOSITORY = {"id": 4210, "full_name": "demo/hello", "permissions": {"admin": True}}
_EVERY = timedelta(seconds=7)  # how often something happens in the other apps
_STARTED = datetime.now(UTC)

# A user would write the same code: it returns every issue created since the last poll.
_POLLING_CODE = """
const response = await fetch(inputs.feedUrl + '?since=' + encodeURIComponent(lastPollTime), {
  headers: { 'Authorization': 'Bearer ' + secrets.api_token }
});
if (!response.ok) {
  throw new Error('Failed to fetch issues: ' + response.status);
}
const issues = await response.json();
return issues.map(issue => ({ id: issue.id, title: issue.title, createdAt: issue.created_at }));
"""


def prepared(settings: Settings) -> Settings:
    """Return the settings for a demo. With them, this service also plays GitHub, and has a GitHub app with a new
    secret.
    """
    return settings.model_copy(
        update={
            "app_secrets": {"github": [SecretStr(secrets.token_urlsafe(24))]},
            "provider_urls": {"github": f"{settings.local_url}/demo/github/"},
        }
    )


def route() -> BaseRoute:
    return Mount(
        "/demo",
        routes=[
            Route("/feed", _feed),
            Route("/target", _target, methods=["POST"]),
            Route("/github/repos/demo/hello", _repository),
        ],
    )


@asynccontextmanager
async def playing(app: Application) -> AsyncIterator[None]:
    """Play the demo while the block runs. First, set up the triggers, unless an earlier start did. Then send GitHub's
    requests, one every few seconds.
    """
    play = asyncio.create_task(_play(app.settings))
    try:
        yield
    finally:
        play.cancel()
        with suppress(asyncio.CancelledError):
            await play


async def _play(settings: Settings) -> None:
    async with httpx2.AsyncClient(base_url=settings.local_url, trust_env=False, timeout=30) as client:
        try:
            await _set_up(client, settings)
        except httpx2.HTTPError as error:  # this also happens when the service stops meanwhile
            log.error("the demo could not be set up", reason=repr(error))  # noqa: TRY400 its trace would say no more
            return
        await _deliver(client, settings)


async def _set_up(client: httpx2.AsyncClient, settings: Settings) -> None:
    credentials = Credentials.load(settings.data_dir)
    assert credentials
    client.headers["Authorization"] = f"Bearer {credentials.api_key}"
    target = {"kind": "workflow", "url": f"{settings.local_url}/demo/target"}
    for project in (await _ask(client, "GET", "/v1/projects"))["data"]:
        if project["name"] == "Demo" and project["target"]["url"] == target["url"]:
            return
        if project["name"] == "Demo":  # made by a start at another address
            await _take_down(client, project["id"])
    project = await _ask(client, "POST", "/v1/projects", {"name": "Demo", "target": target})
    triggers = f"/projects/{project['id']}/triggers"

    await _start(client, triggers, "schedule", "on_schedule", {"interval": 5})

    token = await _ask(
        client, "POST", "/v1/connections", {"provider_id": "github", "name": "Demo", "secrets": {"token": "demo"}}
    )
    await _start(client, triggers, "github", "on_issue_opened", {"repository": "demo/hello"}, token["id"])

    integration, trigger = await _integration(client)
    held = {"provider_id": integration, "name": "Demo", "secrets": {"api_token": "demo"}}
    connection = await _ask(client, "POST", "/v1/connections", held)
    params = {"feedUrl": f"{settings.local_url}/demo/feed", "polling_frequency": 5}
    await _start(client, triggers, integration, trigger, params, connection["id"])
    log.info("demo is set up", triggers=["schedule", "github", "polling"])


async def _take_down(client: httpx2.AsyncClient, project_id: str) -> None:
    for trigger in await _ask(client, "GET", f"/projects/{project_id}/triggers"):
        await _ask(client, "DELETE", f"/triggers/{trigger['project_trigger_id']}")
    await _ask(client, "DELETE", f"/v1/projects/{project_id}")


async def _integration(client: httpx2.AsyncClient) -> tuple[str, str]:
    for known in (await _ask(client, "GET", "/integrations/v1/get"))["integrations"]:
        if known["name"] == "Demo tracker":
            found = (await _ask(client, "GET", f"/integrations/v1/{known['id']}"))["integration"]
            return found["id"], found["triggers"][0]["slug"]
    made = await _ask(client, "POST", "/integrations/v1/create", {"name": "Demo tracker"})
    id_ = made["integration"]["id"]
    auth = {"authType": "API_KEY", "authFields": [{"slug": "api_token", "label": "API token", "type": "PASSWORD"}]}
    await _ask(client, "PATCH", f"/integrations/v1/{id_}/auth", auth)
    body = {
        "name": "New issue created",
        "description": "An issue was created in the demo's tracker",
        "pollingCode": _POLLING_CODE,
        "inputFields": [{"label": "Feed URL", "type": "TEXT", "required": True}],
    }
    trigger = await _ask(client, "POST", f"/integrations/v1/{id_}/triggers/create", body)
    return id_, trigger["trigger"]["slug"]


async def _start(
    client: httpx2.AsyncClient,
    path: str,
    provider: str,
    trigger: str,
    params: dict[str, Any],
    connection: str | None = None,
) -> None:
    body = {
        "provider_id": provider,
        "trigger_id": trigger,
        "trigger_config_params": params,
        "connection_id": connection,
    }
    made = await _ask(client, "POST", path, body)
    await _ask(client, "POST", f"/triggers/{made['project_trigger_id']}/enable")


async def _ask(client: httpx2.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    answer = await client.request(method, path, json=body)
    if answer.is_error:
        log.error("demo set-up was refused", path=path, status=answer.status_code, answer=answer.text)
        answer.raise_for_status()
    return answer.json() if answer.content else None


async def _deliver(client: httpx2.AsyncClient, settings: Settings) -> None:
    """Play GitHub. Every few seconds, send a request that an issue was opened, signed with the app's secret."""
    secret = settings.app_secrets["github"][0].get_secret_value().encode()
    while True:
        await asyncio.sleep(_EVERY.total_seconds())
        number = _number(datetime.now(UTC))
        issue = {"id": number, "number": number, "title": f"Issue {number}", "created_at": _time(number).isoformat()}
        body = json.dumps({"action": "opened", "issue": issue, "repository": _REPOSITORY}).encode()
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "issues",
            "X-GitHub-Delivery": secrets.token_hex(16),
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(),
        }
        with suppress(httpx2.HTTPError):
            answer = await client.post("/v1/webhooks/github", content=body, headers=headers)
            if answer.is_error:
                log.warning("the demo's GitHub was refused", status=answer.status_code, answer=answer.text)


async def _feed(request: Request) -> Response:
    since = datetime.fromisoformat(request.query_params.get("since", _STARTED.isoformat()))
    now = datetime.now(UTC)
    numbers = range(_number(since) + 1, _number(now) + 1)
    return JSONResponse([{"id": n, "title": f"Issue {n}", "created_at": _time(n).isoformat()} for n in numbers])


async def _repository(_: Request) -> Response:
    return JSONResponse(_REPOSITORY)


async def _target(request: Request) -> Response:
    event = await request.json()
    log.info("workflow started", type=event["type"], data=event.get("data"))
    return JSONResponse({"status": "started"})


def _number(at: datetime) -> int:
    """Return the number of the newest issue at a time. An issue's number follows from the time at which it appears."""
    return int(at.timestamp() // _EVERY.total_seconds())


def _time(number: int) -> datetime:
    return datetime.fromtimestamp(number * _EVERY.total_seconds(), UTC)
