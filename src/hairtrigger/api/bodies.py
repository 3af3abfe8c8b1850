"""Reads the bodies of requests up to a limit, and parses only JSON that the database can store."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive

from hairtrigger.domain.errors import TooLarge

MAX_BODY = 2 * 1024 * 1024  # twice the longest texts that are allowed, with every character escaped
_MOST_PARTS = 50_000  # of JSON: 2 MiB of empty lists take 0.2 s to parse, before the route is called
_LONGEST_TYPE = 1000  # characters of a form's Content-Type: python-multipart takes 2 µs for each of them

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class BoundedRequest(Request):
    """A request whose body is refused if it is too large, or is not strictly JSON.

    The status is 413 for a body longer than `limit`, which is refused while it is read, and for a body of very many
    parts. It is 422 for a body that is not strictly JSON, and 415 for a Content-Type that is too long. Python's own
    parser accepts half surrogate pairs and NaN, but the database cannot store them and an answer cannot contain them.
    """

    def __init__(self, request: Request, limit: int = MAX_BODY) -> None:
        super().__init__(request.scope, _at_most(limit, request))
        if len(self.headers.get("content-type", "")) > _LONGEST_TYPE:
            raise HTTPException(415, "The Content-Type is too long.")

    async def json(self) -> Any:
        body = await self.body()
        if sum(map(body.count, (b"[", b"{", b":"))) > _MOST_PARTS:
            raise HTTPException(413, f"The body has more than {_MOST_PARTS} arrays, objects and values.")
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


def _at_most(limit: int, request: Request) -> Receive:
    declared = request.headers.get("content-length", "")
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > limit or (declared.isdigit() and int(declared) > limit):
            raise HTTPException(413, f"The body is larger than {limit} bytes.")
        return message

    return receive


async def read_body(receive: Receive, declared: str, limit: int) -> bytes:
    """Return the whole body. `declared` is the value of Content-Length, or empty.

    Raises `TooLarge` as soon as the body is known to be longer than `limit` bytes, before the rest of it is read, and
    `ClientDisconnect` if the client goes away.
    """
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"The body is larger than {limit} bytes.")
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
    return b"".join(chunks)
