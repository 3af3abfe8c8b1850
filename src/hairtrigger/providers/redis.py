"""The provider for streams of Redis and Valkey. The trigger's own position decides, so no group is needed.

https://redis.io/docs/latest/develop/data-types/streams/
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from pydantic_core import to_json
from redis import asyncio as client
from redis import exceptions

from hairtrigger import kit

_AT_ONCE = 100  # entries
_WAIT = 5000  # milliseconds for which the server holds a question that has no answer yet
_PATIENCE = 20  # seconds for an answer


class Stream(kit.Config):
    stream: str = Field(min_length=1, title="Stream", description="The key of the stream.")


class _Encrypted(client.Connection):
    """A connection with the TLS settings of the service, which the library's own class does not take."""

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self._tls = tls

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "ssl": self._tls}


@asynccontextmanager
async def _connected(question: kit.Question[Stream]) -> AsyncIterator["client.Redis"]:
    server = kit.messages.Server.of(question.secrets["url"], "redis", "rediss", 6379)
    tls: dict[str, Any] = {"tls": question.tls(question.secrets.get("authorities", ""))} if server.encrypted else {}
    pool = client.ConnectionPool(
        connection_class=_Encrypted if server.encrypted else client.Connection,
        host=server.host,
        port=server.port,
        username=server.user or None,
        password=server.password or None,
        db=int(server.path) if server.path.isdigit() else 0,
        socket_timeout=_PATIENCE,
        socket_connect_timeout=_PATIENCE,
        max_connections=1,
        **tls,
    )
    redis = client.Redis(connection_pool=pool)
    try:
        yield redis
    finally:
        await redis.aclose()
        await pool.disconnect()


async def _state(redis: "client.Redis", key: str) -> tuple[str, str]:
    """Return the ids of the last entry that the stream got, and of the last one that was deleted from it."""
    if not await redis.exists(key):
        return "0-0", "0-0"
    told = await redis.xinfo_stream(key)
    return _id(told["last-generated-id"]), _id(told.get("max-deleted-entry-id", b"0-0"))


def _id(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _order(id_: str) -> tuple[int, int]:
    milliseconds, _, sequence = id_.partition("-")
    return int(milliseconds), int(sequence or 0)


async def _last(question: kit.Question[Stream]) -> kit.Cursor:
    async with _connected(question) as redis:
        last, _ = await _state(redis, question.config.stream)
    return {"id": last}


async def _entries(question: kit.Question[Stream]) -> AsyncGenerator[kit.Page, None]:
    key, last = question.config.stream, str((question.cursor or {})["id"])
    async with _connected(question) as redis:
        newest, deleted = await _state(redis, key)
        gap = ""
        if _order(newest) < _order(last):
            gap, last = f"The stream was made anew: its last entry is {newest}, and {last} was read.", "0-0"
        elif _order(deleted) > _order(last):
            gap = f"Entries up to {deleted} were deleted, and {last} was the last one that was read."
        yield kit.Page((), {"id": last}, gap=gap)
        while True:
            answer = await redis.xread({key: last}, count=_AT_ONCE, block=_WAIT)
            found = _listed(answer)
            drafts = [(id_, _body(key, id_, fields)) for id_, fields in found]
            large = sum(body is None for _, body in drafts)
            last = drafts[-1][0] if drafts else last
            yield kit.Page(
                [kit.Draft(f"{key}/{id_}", body, occurred_at=_time(id_)) for id_, body in drafts if body is not None],
                {"id": last},
                refused=large,
                note=kit.messages.told(large),
            )


def _listed(answer: Any) -> list[tuple[str, Mapping[bytes, bytes]]]:
    """Return the entries of an answer to XREAD, which names the stream in one of two forms."""
    streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer or ()]
    entries: list[Any] = [one for stream in streams for one in stream]
    if len(entries) == 1 and isinstance(entries[0], list):
        entries = entries[0]
    return [(_id(id_), fields) for id_, fields in entries]


def _body(key: str, id_: str, fields: Mapping[bytes, bytes]) -> bytes | None:
    values = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
    body = to_json({"stream": key, "id": id_, "fields": values})
    return body if len(body) <= kit.messages.LARGEST else None


def _time(id_: str) -> datetime | None:
    """Return the time in an entry's id, or None if its producer has chosen another number."""
    milliseconds = _order(id_)[0]
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds < 32_503_680_000_000 else None  # year 3000


provider = kit.Provider(
    id="redis",
    name="Redis streams",
    icon="🟥",
    auth=kit.NoAuth(("url",)),
    optional=("authorities",),
    labels={"url": "Address", "authorities": "Certificates of its authority (PEM)"},
    guide="The address is redis://user:password@host:6379/0, or rediss:// for an encrypted connection. The stream is "
    "read without a group, so it must keep its entries until they are read. The key of an event is the stream's key "
    "and the entry's id. Publish and subscribe loses what is sent while a connection is away, so only streams "
    "are offered.",
    triggers=(
        kit.Listening(
            id="on_entry_added",
            name="Entry added",
            description="An entry was added to a stream.",
            config=Stream,
            listen=_entries,
            start=_last,
            errors=(exceptions.RedisError,),
            refusals=(exceptions.AuthenticationError, exceptions.NoPermissionError),
        ),
    ),
)
