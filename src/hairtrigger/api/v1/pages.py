"""The parameters and the answers of lists that are read page by page."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Query

from hairtrigger.api.v1.schemas import Page

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[UUID | None, Query(description="`next_cursor` of the page before.")]


def page(found: Sequence[T], limit: int, shape: Callable[[T], Any]) -> Page[Any]:
    """Return a page of the first `limit` rows, each in its `shape`.

    `found` holds one row more than `limit` if there is a next page.
    """
    data = [shape(one) for one in found[:limit]]
    return Page(data=data, next_cursor=str(data[-1].id) if len(found) > limit else None)
