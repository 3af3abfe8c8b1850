"""Defines the provider Asana. Each trigger has a webhook of its own in a project.

While Asana makes a webhook, it posts the secret to the webhook's URL, which must send the secret back. Asana tells the
secret in its answer, too. A delivery brings several events without ids, so the digest of an event is its key, which
differs because an event holds its time in milliseconds. A delivery without events is a sign of life.
https://developers.asana.com/docs/webhooks-guide
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from hairtrigger import kit


class Project(kit.Config):
    project: str = Field(
        pattern="^[0-9]+$",
        title="Project",
        description="The project's id: the number in its address.",
        examples=["1204619611402340"],
    )


class Within(kit.Payload):
    gid: kit.Key


class Made(kit.Payload):
    secret: str = Field(alias="X-Hook-Secret", min_length=1, repr=False)


class Data(kit.Payload):
    workspace: Within


class Found(kit.Payload):
    """The answer to a question for a project. https://developers.asana.com/reference/getproject"""

    data: Data


class Hooks(kit.Hooks[Project]):
    """The subscription by a webhook for a project. https://developers.asana.com/reference/createwebhook"""

    async def scope(self, question: kit.Question[Project]) -> Mapping[str, Any]:
        project = question.config.project
        found = kit.read(Found, await question.api.get(f"projects/{project}", {"opt_fields": "workspace"}))
        return {"workspace": found.data.workspace.gid, "resource": project, "limit": 100}

    async def secret_of(self, question: Any, answer: Any, id_: str, secret: str) -> str:  # noqa: ARG002
        return kit.read(Made, answer).secret


def _on(filters: dict[str, Any], id_: str, name: str, description: str) -> kit.Webhook[Project]:
    def body(config: Project, url: str, _: str) -> dict[str, Any]:
        return {"data": {"resource": config.project, "target": url, "filters": [filters]}}

    hooks = Hooks(
        "webhooks",
        body,
        made="/data",
        items="/data",
        id="/gid",
        url="/target",
        paging=kit.PageToken("offset", "/next_page/offset"),
    )
    family = kit.WebhookFamily(
        config=Project,
        sender=kit.SENDERS["asana"],
        subscription=lambda _: hooks,
        fields=kit.Fields(
            each="/events",
            type=("/resource/resource_type", "/action"),
            subject="/resource/gid",
            at="/created_at",
        ),
        sample=lambda _: {"events": [_event(filters)]},
    )
    return family.on(f"{filters['resource_type']}.{filters['action']}", id_, name, description)


def _event(filters: dict[str, Any]) -> Any:
    resource = {"gid": "1204619611402341", "resource_type": filters["resource_type"]}
    change = {"change": {"field": filters["fields"][0], "action": "changed"}} if "fields" in filters else {}
    parent = {"gid": "1204619611402340", "resource_type": "project"}
    when = {"created_at": "2026-05-01T12:00:00.123Z", "user": {"gid": "12345"}}
    return {**when, "action": filters["action"], "resource": resource, "parent": parent, **change}


_TASK: dict[str, Any] = {"resource_type": "task", "action": "changed"}

provider = kit.Provider(
    id="asana",
    name="Asana",
    icon="🪷",
    base_url="https://app.asana.com/api/1.0/",
    auth=kit.Bearer("token"),
    guide="In Asana's developer console, make a personal access token. Its user must be a member of the project.",
    labels={"token": "Personal access token"},
    check=lambda api: api.get("users/me"),
    triggers=(
        _on({**_TASK, "action": "added"}, "on_task_added", "Task added", "A task was added to the project."),
        _on({**_TASK, "fields": ["completed"]}, "on_task_completed", "Task completed", "It was completed or reopened."),
        _on({**_TASK, "fields": ["assignee"]}, "on_task_assigned", "Task assigned", "A task's assignee changed."),
        _on({**_TASK, "fields": ["due_on"]}, "on_due_date_changed", "Due date changed", "A task's date changed."),
        _on({"resource_type": "story", "resource_subtype": "comment_added", "action": "added"}, "on_comment_added",
            "Comment added", "A user commented on a task."),
        _on({**_TASK, "action": "deleted"}, "on_task_deleted", "Task deleted", "A task of the project was deleted."),
    ),
)  # fmt: skip
