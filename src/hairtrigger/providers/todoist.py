"""Defines the provider Todoist. It is polled by sync tokens, which list each change of a task, because its webhooks
need OAuth.

The key of a new task is its id, because a task is added only once. The key of a change also has `updated_at`, and the
key of a completion its time. A task that recurs gets a new date instead of being completed.
https://developer.todoist.com/api/v1/#tag/Sync

It is unconfirmed what Todoist answers to a sync token that it has forgotten. A 400 would be told as the poll's error.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit

_EARLIER = timedelta(minutes=2)  # how far Todoist's clock may be behind ours


class Tasks(kit.PollingConfig):
    project_id: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9]+$",
        title="Project",
        description="The id of the only project to look at: the end of its address.",
    )


class Synced(kit.Payload):
    """The changes since a sync token. https://developer.todoist.com/api/v1/#tag/Sync"""

    items: Sequence[dict[str, Any]] = ()
    place: str = Field(alias="sync_token")


def _on(
    id_: str, name: str, description: str, key: tuple[str, ...], at: str, wanted: Callable[[Any], bool]
) -> kit.Polling[Tasks]:
    fields = kit.Fields(key=key, subject="/id", at=at)

    async def poll(question: kit.Question[Tasks]) -> kit.Page:
        place = (question.cursor or {}).get("place", "*")
        form = [("sync_token", place), ("resource_types", '["items"]')]
        found = kit.read(Synced, await question.api.post_form("sync", form))
        project, start = question.config.project_id, question.enabled_at - _EARLIER
        there = [one for one in found.items if not one.get("is_deleted") and project in (None, one.get("project_id"))]
        new = [one for one in there if wanted(one) and _since(one, at, start)]
        return kit.Page(fields.drafts(new), {"place": found.place})

    return kit.Polling(
        id=id_, name=name, description=description, config=Tasks, poll=poll, every=timedelta(minutes=2),
        samples=_samples,
    )  # fmt: skip


def _since(task: Any, at: str, start: datetime) -> bool:
    text = kit.at_pointer(task, at)
    return isinstance(text, str) and datetime.fromisoformat(text) >= start


async def _samples(question: kit.Question[Tasks]) -> Any:
    return kit.items_at(await question.api.get("tasks", {"limit": 3}), "/results")


provider = kit.Provider(
    id="todoist",
    name="Todoist",
    icon="☑️",
    base_url="https://api.todoist.com/api/v1/",
    auth=kit.Bearer("token"),
    guide="In Todoist, under Settings, Integrations, Developer, take the API token.",
    labels={"token": "API token"},
    check=lambda api: api.get("user"),
    triggers=(
        _on("on_task_added", "Task added", "A task was added.", ("/id",), "/added_at", lambda _: True),
        _on("on_task_updated", "Task updated", "A task was added or changed.", ("/id", "/updated_at"), "/updated_at",
            lambda task: not task.get("checked")),
        _on("on_task_completed", "Task completed", "A task that does not recur was completed.",
            ("/id", "/completed_at"), "/completed_at", lambda task: bool(task.get("checked"))),
    ),
)  # fmt: skip
