"""Defines the provider Notion. It is polled, because its webhooks are made by hand, for a whole integration.

Notion rounds times to the minute. The key of a new page is its id, because a page is created only once. The key of a
change also has its minute, so two changes within one minute are one event. Deleted pages are not listed.
https://developers.notion.com/reference/query-a-data-source
"""

from datetime import timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit


class Source(kit.PollingConfig):
    data_source_id: str = Field(
        pattern="^[0-9a-f-]{32,36}$",
        title="Data source",
        description="The id of the data source: in Notion, the menu of the database, Manage data sources, copies it.",
        examples=["1c7b35e6-e67f-8096-bf3f-000ba938459e"],
    )


def _asked(time: str) -> Any:
    async def ask(question: kit.Question[Source], look: kit.Look) -> Any:
        wanted = {
            "filter": {"timestamp": time, time: {"on_or_after": look.since.isoformat()}},
            "sorts": [{"timestamp": time, "direction": "ascending"}],
            "page_size": 100,
        }
        after = {"start_cursor": look.token} if look.token else {}
        return await question.api.post(f"data_sources/{question.config.data_source_id}/query", {**wanted, **after})

    return ask


def _on(id_: str, time: str, key: tuple[str, ...], name: str, description: str) -> kit.Polling[Source]:
    fields = kit.Fields(key=key, subject="/id", at=f"/{time}")
    return kit.Polling(
        id=id_,
        name=name,
        description=description,
        config=Source,
        poll=kit.Asked(_asked(time), fields, timedelta(minutes=5), items="/results", following="/next_cursor"),
        samples=_samples,
    )


async def _samples(question: kit.Question[Source]) -> Any:
    path = f"data_sources/{question.config.data_source_id}/query"
    return kit.items_at(await question.api.post(path, {"page_size": 3}), "/results")


provider = kit.Provider(
    id="notion",
    name="Notion",
    icon="📓",
    base_url="https://api.notion.com/v1/",
    auth=kit.Bearer("token", also={"notion-version": "2025-09-03"}),
    guide="On notion.so/profile/integrations, make an internal integration that may read content, and take its secret. "
    "Then share the database with the integration: in its menu, under Connections.",
    labels={"token": "Internal integration secret"},
    check=lambda api: api.get("users/me"),
    triggers=(
        _on("on_page_created", "created_time", ("/id",), "Page created", "A page was added to a data source."),
        _on("on_page_updated", "last_edited_time", ("/id", "/last_edited_time"), "Page updated",
            "A page of a data source was added or changed."),
    ),
)  # fmt: skip
