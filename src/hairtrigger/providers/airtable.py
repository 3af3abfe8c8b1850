"""Defines the provider Airtable. It is polled with formulas, which need no field of the table to find new records.

The key of a new record is its id, because a record is created only once. The key of a change also has the time of the
change, from a field of the type "Last modified time", which the table must have. Deleted records are not listed.
https://airtable.com/developers/web/api/list-records
"""

from datetime import timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit


class Table(kit.PollingConfig):
    base_id: str = Field(
        pattern="^app[A-Za-z0-9]{14}$", title="Base", description="The base's id, which begins with app in its address."
    )
    table_id: str = Field(
        pattern="^tbl[A-Za-z0-9]{14}$", title="Table", description="The table's id, which follows the base's."
    )


class Modified(Table):
    modified_field: str = Field(
        default="Last modified time",
        min_length=1,
        max_length=255,
        title="Field with the time of the change",
        description="The name of the table's field of the type 'Last modified time'.",
    )


def _path(config: Table) -> str:
    return f"{config.base_id}/{config.table_id}"


async def _created(question: kit.Question[Table]) -> kit.Page:
    return await _poll("CREATED_TIME()", kit.Fields(key="/id", subject="/id", at="/createdTime"))(question)


async def _updated(question: kit.Question[Modified]) -> kit.Page:
    name = question.config.modified_field
    place = "/fields/" + name.replace("~", "~0").replace("/", "~1")
    field = "{" + name.replace("\\", "\\\\").replace("}", "\\}") + "}"
    return await _poll(field, kit.Fields(key=("/id", place), subject="/id", at=place))(question)


def _poll(time: str, fields: kit.Fields) -> kit.Asked[Any]:
    async def ask(question: kit.Question[Table], look: kit.Look) -> Any:
        # IS_AFTER leaves equal times out.
        formula = f"IS_AFTER({time}, '{(look.since - timedelta(seconds=1)).isoformat()}')"
        after = {"offset": look.token} if look.token else {}
        return await question.api.get(_path(question.config), {"filterByFormula": formula, "pageSize": 100, **after})

    return kit.Asked(ask, fields, timedelta(minutes=2), items="/records", following="/offset")


async def _samples(question: kit.Question[Any]) -> Any:
    return kit.items_at(await question.api.get(_path(question.config), {"maxRecords": 3}), "/records")


provider = kit.Provider(
    id="airtable",
    name="Airtable",
    icon="🗂️",
    base_url="https://api.airtable.com/v0/",
    auth=kit.Bearer("token"),
    guide="On airtable.com/create/tokens, make a personal access token with the scope data.records:read and access to "
    "the base.",
    labels={"token": "Personal access token"},
    check=lambda api: api.get("meta/whoami"),
    triggers=(
        kit.Polling(
            id="on_record_created",
            name="Record created",
            description="A record was added to a table.",
            config=Table,
            poll=_created,
            samples=_samples,
        ),
        kit.Polling(
            id="on_record_updated",
            name="Record updated",
            description="A record was added or changed.",
            config=Modified,
            poll=_updated,
            samples=_samples,
        ),
    ),
)
