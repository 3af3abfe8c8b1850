"""Defines the provider Linear. Each trigger has a webhook of its own, for one team or for all public teams.

The key of a thing that was created is its id, because a thing is created only once. The key of a change also has
`updatedAt`. It is unconfirmed whether Linear signs a new time when it repeats a delivery after an hour. So a signed
time may be a day old, and the key is what finds repeats. https://linear.app/developers/webhooks
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit

_CREATE = "mutation($input: WebhookCreateInput!) { webhookCreate(input: $input) { success webhook { id enabled } } }"
_DELETE = "mutation($id: String!) { webhookDelete(id: $id) { success } }"
_LIST = "query($after: String) { webhooks(first: 100, after: $after) { nodes { id url } %s } }"
_PAGE = "pageInfo { hasNextPage endCursor }"


class Team(kit.Config):
    team_id: str | None = Field(
        default=None,
        pattern="^[0-9a-fA-F-]{36}$",
        title="Team",
        description="The id of the only team to listen to; all public teams if it is left out.",
    )


class Hook(kit.Payload):
    id: str


class Made(kit.Payload):
    webhook: Hook


@dataclass(frozen=True)
class Hooks(kit.ListedHooks[Team]):
    """The subscription by a webhook for things of the type `resource`.
    https://linear.app/developers/webhooks#creating-a-simple-webhook
    """

    resource: str

    async def make(self, question: kit.Question[Team], url: str, secret: str) -> tuple[str, kit.Registration]:
        team = question.config.team_id
        which = {"teamId": team} if team else {"allPublicTeams": True}
        wanted = {"url": url, "resourceTypes": [self.resource], "secret": secret, "label": "hairtrigger", **which}
        data = await question.api.graphql("graphql", _CREATE, input=wanted)
        made = kit.read(Made, data["webhookCreate"]).webhook
        return made.id, kit.Registration({"webhook_id": made.id}, secret)

    async def there(self, question: kit.Question[Team]) -> AsyncIterator[tuple[str, str]]:
        async for hook in kit.nodes(question.api, "graphql", _LIST % _PAGE, "webhooks"):
            yield str(hook["id"]), str(hook["url"])

    async def drop(self, question: kit.Question[Team], id_: str) -> None:
        await question.api.graphql("graphql", _DELETE, id=id_)


def _sample(type_: str) -> Any:
    resource, _, action = type_.partition(".")
    id_ = "2174add1-f7c8-44e3-bbf3-2d60b5ea8bc9"
    data: dict[str, Any] = {"id": id_, "createdAt": "2026-05-01T11:58:00.000Z", "updatedAt": "2026-05-01T12:00:00.000Z"}
    more = {"title": "The teapot leaks", "identifier": "SHOP-42", "team": {"id": "72b2a2dc", "key": "SHOP"}}
    data |= more if resource == "Issue" else {"body": "It still leaks."}
    old = {"updatedFrom": {"title": "Teapot"}} if action == "update" else {}
    head = {
        "action": action,
        "type": resource,
        "createdAt": "2026-05-01T12:00:00.000Z",
        "webhookTimestamp": 1777636800000,
    }
    return {**head, "data": data, **old, "url": "https://linear.app/acme/issue/SHOP-42", "organizationId": "dc844923"}


def _family(*key: str) -> kit.WebhookFamily[Team]:
    return kit.WebhookFamily(
        config=Team,
        sender=kit.SENDERS["linear"],
        verify=kit.Hmac(
            "Linear-Signature", timestamp=kit.Timestamp("/webhookTimestamp", unit="ms", tolerance=timedelta(hours=24))
        ),
        subscription=lambda type_: Hooks(type_.partition(".")[0]),
        fields=kit.Fields(key=key, type=("/type", "/action"), subject="/data/id", at="/createdAt"),
        sample=_sample,
    )


_CREATED, _CHANGED = _family("/data/id"), _family("/data/id", "/data/updatedAt")

provider = kit.Provider(
    id="linear",
    name="Linear",
    icon="📐",
    base_url="https://api.linear.app/",
    auth=kit.KeyHeader("authorization", "api_key"),
    guide="In Linear, under Settings, Security and access, make a personal API key. Only an admin's key with the "
    "permission Admin may make webhooks.",
    labels={"api_key": "Personal API key"},
    check=lambda api: api.graphql("graphql", "{ viewer { id } }"),
    triggers=(
        _CREATED.on("Issue.create", "on_issue_created", "Issue created", "An issue was created."),
        _CHANGED.on("Issue.update", "on_issue_updated", "Issue updated", "An issue changed: `updatedFrom` says what."),
        _CREATED.on("Comment.create", "on_comment_created", "Comment created", "A user commented on an issue."),
        _CREATED.on("Project.create", "on_project_created", "Project created", "A project was created."),
        _CREATED.on("ProjectUpdate.create", "on_project_update_posted", "Project update posted", "One was posted."),
    ),
)
