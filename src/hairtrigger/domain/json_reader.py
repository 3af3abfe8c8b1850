"""Reads JSON from outside, and refuses JSON that would hold up the event loop."""

from typing import Any

from pydantic_core import from_json

MOST_PARTS = 300_000
"""The most parts that are read, which takes about 45 ms. An array or object counts as one part, and a member of an
object as four. JSON of 2 MB has fewer parts than this if its members have 28 bytes or more, as they usually have.
"""
_MEMBER = 4  # the parts that a member counts as: its name must be made and looked up


class TooManyParts(ValueError):
    """The JSON has more arrays, objects and members than this service reads."""

    def __str__(self) -> str:
        return "it has too many arrays, objects and members"


def read_json(body: bytes, *, allow_inf_nan: bool = True) -> Any:
    """Return the value that the bytes encode. `NaN` and `Infinity` are read only with `allow_inf_nan`.

    Raises `TooManyParts` for JSON that would take too long to read, and another `ValueError` for bytes that are not
    JSON.
    """
    if len(body) > MOST_PARTS // _MEMBER and _parts(body) > MOST_PARTS:
        raise TooManyParts
    return from_json(body, allow_inf_nan=allow_inf_nan)


def _parts(body: bytes) -> int:
    """Return an upper bound of the number of parts, as `MOST_PARTS` counts them. It may be too high, because a colon
    within a text may count as a member.
    """
    members = min(body.count(b":"), body.count(b'"') // 2)
    return body.count(b"[") + body.count(b"{") + _MEMBER * members
