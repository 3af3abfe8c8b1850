"""Defines the provider Google Sheets. Each poll reads the sheet and compares its rows with those that were seen. Rows
are compared by their content, because they have no ids and are moved by sorting and inserting.

The key is the text in a column that the user names. Without such a column, it is the digest of the row, numbered among
equal rows, so that a row that is edited is a new one. A row that is deleted and comes back as it was is not new.
https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/get
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from pydantic import Field
from pydantic_core import to_json

from hairtrigger import kit

_MOST_ROWS = 10_000  # the marks of all rows are in the cursor
_AS_SHOWN = {"valueRenderOption": "UNFORMATTED_VALUE", "dateTimeRenderOption": "FORMATTED_STRING"}


class Sheet(kit.PollingConfig):
    spreadsheet_id: str = Field(
        pattern="^[A-Za-z0-9_-]{20,}$",
        title="Spreadsheet",
        description="The spreadsheet's id: what follows /d/ in its address.",
    )
    sheet: str = Field(
        default="Sheet1", min_length=1, max_length=100, title="Sheet", description="The name on the sheet's tab."
    )


class Keyed(Sheet):
    key_column: str | None = Field(
        default=None,
        max_length=200,
        title="Column of the key",
        description="The name, in the first row, of a column whose text tells rows apart. Rows without it don't count.",
    )


class Values(kit.Payload):
    values: list[list[Any]] = Field(default_factory=list)


def _rows(config: Sheet, values: list[list[Any]], column: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each row that is not empty, after its key."""
    names = [str(one) for one in values[0]] if values else []
    equal: dict[str, int] = {}
    for number, row in enumerate(values[1:], 2):
        cells = {name or f"column {place}": cell for place, (name, cell) in enumerate(zip(names, row, strict=False), 1)}
        text = str(cells.get(column, "")).strip() if column else kit.digest(to_json(row))
        if not text or not any(cell not in ("", None) for cell in row):
            continue
        equal[text] = equal.get(text, 0) + 1
        if column is None or equal[text] == 1:
            key = text if column else f"{text}#{equal[text]}"
            yield key, {"row_number": number, "values": cells, "sheet": config.sheet}


async def _poll(question: kit.Question[Any]) -> kit.Page:
    config = question.config
    column = config.key_column if isinstance(config, Keyed) else None
    rows = list(_rows(config, await _values(question), column))
    if len(rows) > _MOST_ROWS:
        raise kit.ProviderFailed(f"The sheet has more than {_MOST_ROWS} rows, which is more than can be compared.")
    seen = dict.fromkeys((question.cursor or {}).get("seen", ()))
    new = [kit.Draft(key=key, data=to_json(row)) for key, row in rows if kit.mark(key) not in seen]
    return kit.Page(new, {"seen": kit.still_seen([kit.mark(key) for key, _ in rows], seen)})


async def _values(question: kit.Question[Any]) -> list[list[Any]]:
    title = quote("'" + question.config.sheet.replace("'", "''") + "'", safe="")
    path = f"v4/spreadsheets/{question.config.spreadsheet_id}/values/{title}"
    return kit.read(Values, await question.api.get(path, _AS_SHOWN)).values


async def _samples(question: kit.Question[Any]) -> Any:
    return [row for _, row in _rows(question.config, await _values(question), None)][-3:]


def _on(config: type[Sheet], id_: str, name: str, description: str) -> kit.Polling[Any]:
    return kit.Polling(
        id=id_,
        name=name,
        description=description,
        config=config,
        poll=_poll,
        every=timedelta(minutes=2),
        samples=_samples,
    )


provider = kit.Provider(
    id="google_sheets",
    name="Google Sheets",
    icon="📊",
    base_url="https://sheets.googleapis.com/",
    auth=kit.google("spreadsheets.readonly"),
    guide=kit.GOOGLE_GUIDE,
    triggers=(
        _on(Keyed, "on_row_added", "Row added", "A row was added to a sheet."),
        _on(Sheet, "on_row_changed", "Row changed", "A row of a sheet was added, or changed."),
    ),
)
