"""Defines the provider for a user's own PostgreSQL. Its events are new rows of a table, and notifications.

Rows are read in the order of their transactions and not of their ids. Ids commit out of order, so a reader that goes on
after the highest id would miss the rows of transactions that were still open. The table has a column for the number of
the transaction, and a row is read when all transactions with lower numbers have ended.

https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
from pydantic import Field
from pydantic_core import to_json

from hairtrigger import kit

_AT_ONCE = 200  # rows
_LARGEST = 1024 * 1024  # bytes of a row; a larger one makes no event, and the trigger's outcomes tell that
_MOST = 8 * _LARGEST  # bytes of the rows that are read at once
_MOST_WAITING = 10_000  # notifications
_PATIENCE = 30  # seconds for the answer to a query


class Rows(kit.Config):
    table: str = Field(min_length=1, title="Table", description="Such as orders, or sales.orders in a schema.")
    transaction_column: str = Field(
        default="hairtrigger_xid",
        min_length=1,
        title="Transaction column",
        description="Of the type xid8, with the default pg_current_xact_id(). See the guide.",
    )
    id_column: str = Field(default="id", min_length=1, title="Id column", description="It is unique, and sorts rows.")
    channel: str | None = Field(
        default=None, title="Channel", description="A NOTIFY on this channel makes the trigger look at once."
    )
    every_seconds: int = Field(default=5, ge=1, le=3600, title="Seconds between two looks")


class Channel(kit.Config):
    channel: str = Field(min_length=1, max_length=63, title="Channel", description="The name in LISTEN and NOTIFY.")


@asynccontextmanager
async def _connected(question: kit.Question[Any]) -> AsyncIterator["asyncpg.Connection[Any]"]:
    parts = urlsplit(question.secrets["url"])
    if parts.scheme not in {"postgres", "postgresql"} or not parts.hostname:
        raise kit.ProviderFailed("The connection's url must be postgresql://user:password@host:port/database.")
    mode = parse_qs(parts.query).get("sslmode", [""])[0]
    # Each value is given, because asyncpg would take a missing one from the environment of this service.
    connection = await asyncpg.connect(
        host=parts.hostname,
        port=parts.port or 5432,
        user=unquote(parts.username or "postgres"),
        password=unquote(parts.password or ""),
        database=unquote(parts.path[1:]) or "postgres",
        ssl=False if mode == "disable" else question.tls(question.secrets.get("authorities", "")),
        command_timeout=_PATIENCE,
        statement_cache_size=0,  # poolers in transaction mode know no prepared statements
    )
    try:
        yield connection
    finally:
        connection.terminate()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _table(config: Rows) -> str:
    return ".".join(map(_quoted, config.table.split(".", 1)))


async def _now(question: kit.Question[Rows]) -> kit.Cursor:
    """Return the cursor at which a trigger begins. It is before the rows of all transactions that are open now, which
    are still to come. Raise `ProviderFailed` if the table lacks a column.
    """
    async with _connected(question) as database:
        await _id_type(database, question.config)
        before = await database.fetchval("SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text")
    return {"xid": before, "id": None}


async def _id_type(database: "asyncpg.Connection[Any]", config: Rows) -> str:
    """Return the type of the id column. Raise `ProviderFailed` if the table does not have both the id column and the
    column for the transaction.
    """
    types = dict(
        await database.fetch(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
            _table(config),
        )
    )
    if types.get(config.transaction_column) != "xid8" or config.id_column not in types:
        raise kit.ProviderFailed(
            f"The table {config.table} needs a column {config.transaction_column} of the type xid8 and a column "
            f"{config.id_column}. The guide of the provider says how to add the first."
        )
    return str(types[config.id_column])


def _query(config: Rows, id_type: str) -> str:
    xid, id_ = _quoted(config.transaction_column), _quoted(config.id_column)
    return f"""
        WITH found AS MATERIALIZED (
            SELECT t.{xid} AS xid, t.{id_} AS id, (to_jsonb(t) - $5::text)::text AS body FROM {_table(config)} AS t
            WHERE t.{xid} < pg_snapshot_xmin(pg_current_snapshot())
              AND (t.{xid} > $1::text::xid8 OR t.{xid} = $1::text::xid8 AND t.{id_} > $2::text::{id_type})
            ORDER BY 1, 2 LIMIT $3
        ), sized AS (
            SELECT *, sum(least(octet_length(body), $4)) OVER (ORDER BY xid, id) AS total FROM found
        )
        SELECT xid::text, id::text, CASE WHEN octet_length(body) <= $4 THEN body END AS body FROM sized
        WHERE total <= {_MOST} ORDER BY sized.xid, sized.id
    """  # noqa: S608 names are quoted, and the type is PostgreSQL's own word


async def _rows(question: kit.Question[Rows]) -> AsyncGenerator[kit.Page, None]:
    """Yield a page with the next rows of transactions that have ended, or without rows if there are none, at each look
    at the table. The rows stay in the table, so nothing has to be acknowledged.
    """
    config, cursor = question.config, dict(question.cursor or {})
    async with _connected(question) as database:
        query = _query(config, await _id_type(database, config))
        woken = asyncio.Event()
        if config.channel:
            await database.add_listener(config.channel, lambda *_: woken.set())
        if await database.fetchval("SELECT $1::text::xid8 >= pg_snapshot_xmax(pg_current_snapshot())", cursor["xid"]):
            raise kit.ProviderFailed(
                "The database counts its transactions anew, as one does that was restored from a dump. Which rows are "
                "new can't be told. Make the trigger again."
            )
        while True:
            woken.clear()
            found = await database.fetch(
                query, cursor["xid"], cursor["id"], _AT_ONCE, _LARGEST, config.transaction_column
            )
            if found:
                cursor = {"xid": found[-1]["xid"], "id": found[-1]["id"]}
            large = sum(row["body"] is None for row in found)
            yield kit.Page(
                [
                    kit.Draft(f"{config.table}/{row['xid']}/{row['id']}", row["body"].encode(), subject=row["id"])
                    for row in found
                    if row["body"] is not None
                ],
                cursor,
                refused=large,
                note=f"{large} rows are larger than {_LARGEST} bytes, and make no event." if large else "",
            )
            if not found:
                with suppress(TimeoutError):
                    async with asyncio.timeout(config.every_seconds):
                        await woken.wait()


async def _last_rows(question: kit.Question[Rows]) -> list[Any]:
    async with _connected(question) as database:
        found = await database.fetch(
            f"SELECT (to_jsonb(t) - $1::text)::text AS body FROM {_table(question.config)} AS t "  # noqa: S608 quoted
            f"ORDER BY {_quoted(question.config.id_column)} DESC LIMIT 3",
            question.config.transaction_column,
        )
    return [kit.read_json(row["body"].encode()) for row in found]


async def _notifications(question: kit.Question[Channel]) -> AsyncGenerator[kit.Page, None]:
    """Yield a page with each notification, and a page without events when there is none for half a minute. PostgreSQL
    keeps no notification for a listener that is away, and gives notifications no ids, so their keys are counted.

    Notifications that come while `_MOST_WAITING` wait to be stored are lost, and a page says how many.
    """
    taken: asyncio.Queue[tuple[str, int]] = asyncio.Queue(_MOST_WAITING)
    lost = 0

    def take(_: object, pid: int, __: str, payload: object) -> None:
        nonlocal lost
        if taken.full():
            lost += 1
        else:
            taken.put_nowait((str(payload), pid))

    count = int((question.cursor or {}).get("count", 0))
    async with _connected(question) as database:
        await database.add_listener(question.config.channel, take)
        while True:
            gap, lost = f"{lost} notifications came too fast to be stored, and are lost." if lost else "", 0
            yield kit.Page((), {"count": count}, gap=gap)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    payload, pid = await taken.get()
                count += 1
                draft = kit.Draft(
                    f"{question.asked_at.isoformat()}/{count}",
                    to_json({"channel": question.config.channel, "payload": payload, "pid": pid}),
                )
                yield kit.Page([draft], {"count": count})
            await database.execute("SELECT 1")


async def _nothing(_: kit.Question[Channel]) -> kit.Cursor:
    return {}


_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_REFUSALS = (asyncpg.InvalidAuthorizationSpecificationError,)

provider = kit.Provider(
    id="postgresql",
    name="PostgreSQL",
    icon="🐘",
    auth=kit.NoAuth(("url",)),
    optional=("authorities",),
    labels={"url": "Address", "authorities": "Certificates of its authority (PEM)"},
    guide="The address is postgresql://user:password@host:5432/database, of a user who may read the table. The "
    "connection is encrypted and the server's certificate is checked; ?sslmode=disable turns that off. For new rows, "
    "the table needs a column with the number of the transaction, which these statements add without rewriting the "
    "table: ALTER TABLE orders ADD COLUMN hairtrigger_xid xid8; ALTER TABLE orders ALTER COLUMN hairtrigger_xid SET "
    "DEFAULT pg_current_xact_id(); CREATE INDEX CONCURRENTLY ON orders (hairtrigger_xid, id); To be told at once, let "
    "a trigger of the table NOTIFY a channel, and name it.",
    triggers=(
        kit.Listening(
            id="on_row_added",
            name="Row added",
            description="A row was added to a table, and its transaction has ended. No row is missed or comes twice.",
            config=Rows,
            listen=_rows,
            start=_now,
            samples=_last_rows,
            errors=_ERRORS,
            refusals=_REFUSALS,
        ),
        kit.Listening(
            id="on_notification",
            name="Notification",
            description="A NOTIFY was sent on a channel. Those sent while the connection is away are lost.",
            config=Channel,
            listen=_notifications,
            start=_nothing,
            errors=_ERRORS,
            refusals=_REFUSALS,
            lossy="PostgreSQL sends a notification only to those that are connected, and equal ones of a transaction "
            "once. Use the trigger for added rows where none may be lost.",
        ),
    ),
)
