"""Defines the provider ClickUp. Each trigger has a webhook of its own, for the workspace or for one of its lists.

ClickUp sends one delivery for a change, and further ones if the answer is lost. The key is the id of the change
(`history_items`). A deletion has no such id, so its key is the id of the task.
https://developer.clickup.com/docs/webhooks

It is unconfirmed whether a webhook outlives the access of the user who made it.
"""

from typing import Any

from pydantic import Field

from hairtrigger import kit


class Workspace(kit.Config):
    team_id: str = Field(
        pattern="^[0-9]+$",
        title="Workspace",
        description="The workspace's id: the first number in the address of ClickUp.",
        examples=["9012345678"],
    )
    list_id: str | None = Field(
        default=None, pattern="^[0-9]+$", title="List", description="The id of the only list to listen to."
    )


def _body(event: str) -> Any:
    def body(config: Workspace, url: str, _: str) -> dict[str, Any]:
        within = {"list_id": int(config.list_id)} if config.list_id else {}
        return {"endpoint": url, "events": [event], **within}

    return body


def _hooks(event: str) -> kit.Hooks[Workspace]:
    """Return the subscription to events of one type. https://developer.clickup.com/reference/createwebhook"""
    return kit.Hooks(
        "team/{team_id}/webhook",
        _body(event),
        made="/webhook",
        items="/webhooks",
        url="/endpoint",
        signs_with="/secret",
        one="webhook/{id}",
    )


def _sample(event: str) -> Any:
    change = {"id": "3601234567890123456", "type": 1, "date": "1777636800000", "field": "status", "parent_id": "901"}
    by = {
        "user": {"id": 1, "username": "Ada", "email": "ada@example.com"},
        "before": None,
        "after": {"status": "to do"},
    }
    changes = {} if event == "taskDeleted" else {"history_items": [{**change, **by}]}
    return {"event": event, **changes, "task_id": "86abc123", "team_id": "9012345678", "webhook_id": "4b1c-hook"}


def _family(key: str, at: str = "") -> kit.WebhookFamily[Workspace]:
    return kit.WebhookFamily(
        config=Workspace,
        sender=kit.SENDERS["clickup"],
        subscription=_hooks,
        fields=kit.Fields(key=key, type="/event", subject="/task_id", at=at, unit="ms"),
        sample=_sample,
    )


_CHANGES = _family("/history_items/0/id", "/history_items/0/date")
_DELETIONS = _family("/task_id")

provider = kit.Provider(
    id="clickup",
    name="ClickUp",
    icon="🎯",
    base_url="https://api.clickup.com/api/v2/",
    auth=kit.KeyHeader("authorization", "api_token"),
    guide="In ClickUp, under Settings, Apps, make an API token. It begins with pk_. "
    "Its user must have access to the workspace.",
    labels={"api_token": "API token"},
    check=lambda api: api.get("user"),
    triggers=(
        _CHANGES.on("taskCreated", "on_task_created", "Task created", "A task was created."),
        _CHANGES.on("taskStatusUpdated", "on_task_status_changed", "Task status changed", "A task got another status."),
        _CHANGES.on("taskAssigneeUpdated", "on_task_assigned", "Task assigned", "A task's assignees changed."),
        _CHANGES.on("taskCommentPosted", "on_comment_posted", "Comment posted", "A user commented on a task."),
        _CHANGES.on("taskUpdated", "on_task_updated", "Task updated", "Something about a task changed."),
        _DELETIONS.on("taskDeleted", "on_task_deleted", "Task deleted", "A task was deleted."),
    ),
)
