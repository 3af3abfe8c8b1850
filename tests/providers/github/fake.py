"""GitHub: repositories and installations as one user sees them, and an app's webhook.
https://docs.github.com/en/rest"""

import hmac
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hairtrigger.conformance import Fake as AnyFake
from hairtrigger.conformance import Recorded


@dataclass
class GitHub:
    """The GitHub that the owner of `token` sees, with an app whose webhook is at `webhook_url`."""

    token: str = "ghu_right"
    user: dict[str, Any] = field(default_factory=lambda: {"id": 1, "login": "octocat", "type": "User"})
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    installations: list[dict[str, Any]] = field(default_factory=list)
    memberships: dict[str, str] = field(default_factory=dict)
    webhook_url: str = "https://hooks.example.com/v1/webhooks/github"
    webhook_secret: str = "the app's webhook secret"

    def add_repository(self, name: str, id_: int, **permissions: bool) -> None:
        self.repositories[name] = {"id": id_, "full_name": name, "permissions": permissions}

    def add_installation(self, id_: int, owner: str, owner_id: int, owner_type: str) -> None:
        account = {"id": owner_id, "login": owner, "type": owner_type}
        self.installations.append({"id": id_, "account": account})


def app(state: GitHub) -> Starlette:
    def refusal(request: Request) -> Response | None:
        if request.headers.get("authorization") != f"Bearer {state.token}":
            return _error(401, "Bad credentials")
        return None

    async def repository(request: Request) -> Response:
        if refused := refusal(request):
            return refused
        name = f"{request.path_params['owner']}/{request.path_params['name']}"
        if name in state.renamed:
            return RedirectResponse(f"/repos/{state.renamed[name]}", 301)
        found = state.repositories.get(name)
        return JSONResponse(found) if found else _error(404, "Not Found")

    async def user(request: Request) -> Response:
        return refusal(request) or JSONResponse(state.user)

    async def installations(request: Request) -> Response:
        if refused := refusal(request):
            return refused
        size, page = int(request.query_params.get("per_page", 30)), int(request.query_params.get("page", 1))
        shown = state.installations[size * (page - 1) : size * page]
        return JSONResponse({"total_count": len(state.installations), "installations": shown})

    async def membership(request: Request) -> Response:
        if refused := refusal(request):
            return refused
        role = state.memberships.get(request.path_params["organization"])
        return JSONResponse({"state": "active", "role": role}) if role else _error(404, "Not Found")

    return Starlette(
        routes=[
            Route("/repos/{owner}/{name}", repository),
            Route("/user", user),
            Route("/user/installations", installations),
            Route("/user/memberships/orgs/{organization}", membership),
        ]
    )


def signed(body: bytes, secret: str, event: str = "") -> dict[str, str]:
    return {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/044aadd",
        "x-github-delivery": str(uuid4()),
        **({"x-github-event": event} if event else {}),
        "x-hub-signature-256": "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex(),
    }


async def deliver(
    state: GitHub, client: httpx2.AsyncClient, event: str, payload: dict[str, Any], *, form: bool = False
) -> httpx2.Response:
    """Send an event to the app's webhook. A repeated payload differs only in its id, which is not signed."""
    body = json.dumps(payload).encode()
    if form:
        body = urlencode({"payload": body}).encode()
    headers = signed(body, state.webhook_secret, event)
    if form:
        headers["content-type"] = "application/x-www-form-urlencoded"
    return await client.post(state.webhook_url, content=body, headers=headers)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"message": message, "documentation_url": "https://docs.github.com/rest"}, status)


class Fake(AnyFake):
    secrets = {"token": "ghu_right"}

    def server(self) -> ASGIApp:
        state = GitHub()
        state.add_repository("octocat/Hello-World", 1296269, push=True)
        return app(state)

    def signed(self, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        return signed(body, secret)


def _recorded(trigger: str, event: str) -> Recorded:
    config = {"repository": "octocat/Hello-World"}
    return Recorded(trigger, subject="octocat/Hello-World", config=config, headers={"x-github-event": event})


RECORDED = (
    _recorded("on_push", "push"),
    _recorded("on_issue_opened", "issues"),
    _recorded("on_issue_comment_created", "issue_comment"),
    _recorded("on_pull_request_opened", "pull_request"),
    _recorded("on_pull_request_merged", "pull_request"),
    _recorded("on_release_published", "release"),
    _recorded("on_star_created", "star"),
    _recorded("on_workflow_run_completed", "workflow_run"),
)
