"""A base for fakes of providers whose lists are polled by dates."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hairtrigger.conformance import Fake


class Gone(Exception):
    """The provider has forgotten what is asked for."""


@dataclass
class Thing:
    key: str
    at: datetime
    shown: Mapping[str, Any]


class ListFake(Fake):
    """A provider with things that have a date. A subclass says how one is shown, and answers its documented calls."""

    late = timedelta(minutes=1)
    minutes = False  # whether the provider's times are rounded to the minute

    def __init__(self) -> None:
        super().__init__()
        self.things: list[Thing] = []

    @abstractmethod
    def authorized(self, request: Request) -> bool: ...

    @abstractmethod
    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        """Return the key of the event of a new thing, and the thing as the provider shows it."""

    @abstractmethod
    def answered(self, request: Request, asked: Any) -> Any:
        """Return the answer to a request. Raise `LookupError` for an unknown path."""

    async def happen(self, trigger: str, at: datetime) -> str:
        shown_at = at.replace(second=0, microsecond=0) if self.minutes else at
        key, shown = self.thing(len(self.things) + 1, shown_at, trigger)
        self.things.append(Thing(key, shown_at, shown))
        return key

    def remove(self, key: str) -> None:
        self.things = [one for one in self.things if one.key != key]

    def since(self, at: datetime, *, newest_first: bool = False) -> list[Any]:
        """Return the things of this time or later in the order of their times."""
        found = sorted((one for one in self.things if one.at >= at), key=lambda one: one.at, reverse=newest_first)
        return [one.shown for one in found]

    def paged_from(self, things: list[Any], start: int, limit: int) -> tuple[list[Any], int | None]:
        """Return the page from `start` on, and where the next one starts, or None."""
        end = start + min(limit, self.page)
        return things[start:end], end if end < len(things) else None

    def server(self) -> Starlette:
        async def answer(request: Request) -> Response:
            if not self.authorized(request):
                return JSONResponse({"message": "Unauthorized"}, 401)
            asked = await request.json() if request.method == "POST" else dict(request.query_params)
            try:
                return JSONResponse(self.answered(request, asked))
            except Gone as error:
                return JSONResponse({"error": {"code": 410, "message": str(error)}}, 410)
            except (LookupError, StopIteration) as error:
                return JSONResponse({"message": f"{error} is not there"}, 404)

        return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
