"""Defines the privacy of a trigger, which says what is kept of the content of its events, and for how long."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic_core import from_json, to_json

from hairtrigger.domain.event import Draft
from hairtrigger.domain.json_reader import read_json

REDACTED = "[redacted]"
"""The text that stands in the place of a redacted value."""
EVERY = "*"
"""The part of a JSON pointer that stands for every element of an array, and for every member of an object."""

DROPPED = "The body was dropped when its delivery had ended, as the privacy of its trigger asks (keep_body: false)."
_INDEX = re.compile("0|[1-9][0-9]{0,8}")
_HEADER, _QUERY = "header:", "query:"


@dataclass(frozen=True)
class Privacy:
    """The privacy of a trigger.

    The values at the places of `redact` are replaced by `REDACTED` before anything is stored or delivered. A place is a
    JSON pointer into the event's data, or `header:<name>` or `query:<name>` for a value of the request. Without
    `keep_body`, the body is dropped when all deliveries of the event have ended. After `retention_days`, the event is
    deleted; if that is None, it is deleted when the service deletes all events of its day.
    """

    keep_body: bool = True
    redact: tuple[str, ...] = ()
    retention_days: int | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> Self:
        if stored is None:
            return cls()
        return cls(stored["keep_body"], tuple(stored["redact"]), stored["retention_days"])

    def stored(self) -> dict[str, Any] | None:
        """Return the privacy as JSON for the database, which `of` reads, or None if everything is kept."""
        if self == type(self)():
            return None
        return {"keep_body": self.keep_body, "redact": list(self.redact), "retention_days": self.retention_days}

    def redacted(self, draft: Draft) -> Draft:
        """Return the draft with the values at the places of `redact` replaced. Its key, type and subject stay as they
        are. Data that can't be read as JSON is replaced as a whole if any place is a pointer.
        """
        if not self.redact:
            return draft
        pointers = [place for place in self.redact if place.startswith("/")]
        others = [place for place in self.redact if not place.startswith("/")]
        if pointers and draft.data:
            draft = _without(draft, pointers)
        if others and draft.request:
            draft = replace(draft, request=_request_without(draft.request, others))
        return draft

    def redacted_value(self, value: Any) -> Any:
        """Replace the values at the JSON pointers of `redact` in a JSON value, in place, and return the value. Other
        places of `redact` are left out.
        """
        whole = {"": value}
        if pointers := [place for place in self.redact if place.startswith("/")]:
            _redact(whole, {"": _tree(pointers)})
        return whole[""]


EVERYTHING = Privacy()
"""The privacy of a trigger whose events are kept as a whole."""


def _without(draft: Draft, pointers: Sequence[str]) -> Draft:
    """Return the draft with the values at the pointers replaced in its data. Data that can't be read as JSON is
    replaced as a whole, because no pointer leads into it.
    """
    try:
        whole = {"": read_json(draft.data)}
    except ValueError:
        return replace(draft, data=REDACTED.encode(), content_type="text/plain; charset=utf-8")
    return replace(draft, data=to_json(whole[""])) if _redact(whole, {"": _tree(pointers)}) else draft


class _Tree(dict[str, "_Tree"]):
    """JSON pointers as a tree, in which each key is one part of a pointer. An empty tree is the end of a pointer, at
    which the value is redacted.
    """


def _tree(pointers: Sequence[str]) -> _Tree:
    root = _Tree()
    for pointer in sorted(pointers, key=lambda one: one.count("/")):
        tree, parts = root, pointer.split("/")[1:]
        for number, part in enumerate(parts):
            name = part.replace("~1", "/").replace("~0", "~")
            if name in tree and not tree[name]:
                break  # a shorter pointer redacts all of it
            tree = tree.setdefault(name, _Tree())
            if number == len(parts) - 1:
                tree.clear()
    return root


def _redact(value: Any, tree: Mapping[str, _Tree]) -> bool:
    """Replace, in place and in one pass, the values inside `value` that the pointers of the tree lead to. Return
    whether there was any such value.
    """
    changed = False
    for name, below in tree.items():
        for key in list(_keys(value, name)):
            if below and isinstance(value[key], dict | list):
                changed |= _redact(value[key], below)
            elif not below:
                value[key] = REDACTED
                changed = True
    return changed


def _keys(value: Any, name: str) -> Collection[Any]:
    """Return the keys of an object, or the places of an array, for which one part of a pointer stands. They are all of
    them for `*`, otherwise the one with this name, or none if the value has no such part.
    """
    match value:
        case dict():
            return value.keys() if name == EVERY else [name] if name in value else []
        case list():
            place = int(name) if _INDEX.fullmatch(name) else len(value)
            return range(len(value)) if name == EVERY else [place] if place < len(value) else []
        case _:
            return []


def _request_without(request: str, places: Sequence[str]) -> str:
    kept: dict[str, Any] = from_json(request)
    headers = {place.removeprefix(_HEADER).lower() for place in places if place.startswith(_HEADER)}
    query = {place.removeprefix(_QUERY) for place in places if place.startswith(_QUERY)}
    changed = {
        "headers": {name: REDACTED if name.lower() in headers else value for name, value in kept["headers"].items()},
        "query": {name: REDACTED if name in query else value for name, value in kept["query"].items()},
    }
    return to_json({**kept, **changed}).decode()
