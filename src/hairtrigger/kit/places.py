"""Reads places in a request. A place is written `header:NAME`, `query:NAME`, or as a JSON pointer into the body, such
as `/data/id`.

A pointer leads into forms, too, because a form counts as an object with a member for each field.
"""

import re
from typing import Any

from hairtrigger.kit.incoming import Request

NAME = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # the name of a header, https://www.rfc-editor.org/rfc/rfc9110#name-tokens
PLACE = rf"(?:header:{NAME}|query:[^\s{{}}]+|/[^{{}}]*)"
_PLACE = re.compile(PLACE)
_NAME = re.compile(NAME)
_INDEX = re.compile("0|[1-9][0-9]{0,8}")


def is_place(text: str) -> bool:
    """Return whether the text has the form of a place."""
    return _PLACE.fullmatch(text) is not None


def is_header(text: str) -> bool:
    """Return whether the text can be the name of a header."""
    return _NAME.fullmatch(text) is not None


def at_place(request: Request, place: str, content: Any = None) -> object:
    """Return the value at the place, or None if there is none. A query parameter that comes several times counts as
    missing.

    `content` is the value that a pointer leads into. Without it, that is the request's body as it came, and `Malformed`
    is raised if the body is a form that can't be read or JSON with too many parts.
    """
    if place.startswith("/"):
        return at_pointer(request.value if content is None else content, place)
    kind, _, name = place.partition(":")
    if kind == "header":
        return request.headers.get(name)
    values = request.query(name)
    return values[0] if len(values) == 1 else None  # of two values, one might be checked and the other one used


def is_there(request: Request, place: str) -> bool:
    """Return whether the place holds anything, even an empty text or a parameter that comes several times. Raises
    `Malformed` as `at_place` does.
    """
    if place.startswith("query:"):
        return bool(request.query(place.removeprefix("query:")))
    return at_place(request, place) is not None


def text_at(request: Request, place: str, content: Any = None) -> str | None:
    """Return the text or the whole number at the place as text, or None if there is neither. An empty text counts as
    missing. Raises `Malformed` as `at_place` does.
    """
    found = at_place(request, place, content)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        return None
    return str(found)


def at_pointer(value: Any, pointer: str) -> Any:
    """Return the value at a JSON pointer (https://www.rfc-editor.org/rfc/rfc6901) within `value`, or None if there is
    none.
    """
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        match value:
            case dict():
                value = value.get(name)
            case list() if _INDEX.fullmatch(name) and int(name) < len(value):
                value = value[int(name)]
            case _:
                return None
    return value
