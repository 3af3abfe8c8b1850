"""What is read of a body: no more than there is use for, and only JSON that whatever comes behind can store."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive

MAX_BODY = 2 * 1024 * 1024  # the longest texts there may be, with every character escaped, and as much again
_MOST_PARTS = 50_000  # of JSON: 2 MiB of empty lists take 0.2 s to read, and are read before anything of the caller is
_LONGEST_TYPE = 1000  # characters of a form's Content-Type: python-multipart takes 2 µs for each of them

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class BoundedRequest(Request):
    """Answers 413 to a body longer than `limit` while it is read, and to one of very many parts, and 422 to what is not
    strictly JSON.

    Python's own parser takes half surrogates and NaN, of which neither the database nor an answer can be made.
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
