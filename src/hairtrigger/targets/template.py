"""Templates, which make the first message of an agent conversation or the JSON of a workflow from an event.

Users write the templates, so a template holds no code.
"""

import json
import re
from typing import Any, TypeVar

from pydantic import JsonValue
from pydantic_core import to_json

from hairtrigger.domain.json_reader import read_json
from hairtrigger.domain.target import PLACEHOLDER, Outgoing
from hairtrigger.targets.answers import json_of

LONGEST = 4 * 1024 * 1024  # characters of what a template makes of an event
_MOST_LINES = 10_000  # an event with more lines than this is not indented

_INDEX = re.compile("[0-9]{1,9}")  # int() is slow on very many digits, and refuses more
_NOTHING = object()

T = TypeVar("T", str, bytes)


class TooLong(Exception):
    """The template makes a message of more than 4 MB."""


def rendered(template: str, outgoing: Outgoing) -> str:
    """Return the text of a template with its placeholders replaced by values of the event. A placeholder whose value is
    missing is replaced by an empty text.

    Placeholders are `{{event}}`, `{{data.path.to.0.field}}` and names such as `{{type}}` and `{{time}}`. `{{method}}`,
    `{{query.name}}` and `{{headers.name}}` are of the request that brought the event.

    Raises `TooLong` before more than `LONGEST` characters are made, because a template may name the event many times.
    """
    return _Filling(outgoing, LONGEST - len(template)).text(template)


def filled(template: JsonValue, outgoing: Outgoing) -> bytes:
    """Return the JSON that a template makes of the event. Raises `TooLong` before more than `LONGEST` bytes of values
    are filled in.

    A string that is one placeholder alone becomes the placeholder's value, which may be of any type, or null if it is
    missing. Within a longer string, values are filled in as text.
    """
    return _Filling(outgoing, LONGEST).json(template)


class _Filling:
    """The filling of a template with the values of one event. It keeps count of the length that further values may
    have.
    """

    def __init__(self, outgoing: Outgoing, room: int) -> None:
        self._outgoing = outgoing
        self._room = room
        try:
            self._data: Any = json_of(outgoing)
            self._is_json = True
        except ValueError:
            self._data, self._is_json = None, False

    def text(self, template: str) -> str:
        return PLACEHOLDER.sub(lambda found: self._within(self._as_text(found[1].strip())), template)

    def json(self, template: JsonValue) -> bytes:
        match template:
            case dict():
                return b"{%b}" % b",".join(b"%b:%b" % (to_json(n), self.json(v)) for n, v in template.items())
            case list():
                return b"[%b]" % b",".join(self.json(one) for one in template)
            case str() if alone := PLACEHOLDER.fullmatch(template.strip()):
                return self._within(self._as_json(alone[1].strip()))
            case str():
                return to_json(self.text(template))
            case _:
                return to_json(template)

    def _within(self, value: T) -> T:
        """Return the value, and take its length from the room that is left. Raises `TooLong` if the value
        does not fit.
        """
        self._room -= len(value)
        if self._room < 0:
            raise TooLong
        return value

    def _as_text(self, name: str) -> str:
        if name == "event":
            return self._indented()
        value = self._value(name)
        if value is _NOTHING or value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def _as_json(self, name: str) -> bytes:
        if name in {"event", "data"}:
            return self._outgoing.body if self._is_json else to_json(self._body())
        value = self._value(name)
        return b"null" if value is _NOTHING else to_json(value)

    def _value(self, name: str) -> Any:
        outgoing = self._outgoing
        match name:
            case "type":
                return outgoing.type
            case "time":
                return outgoing.time.isoformat()
            case "id":
                return str(outgoing.event_id)
            case "key":
                return outgoing.event_key
            case "subject":
                return outgoing.subject
            case "attempt":
                return outgoing.attempt
            case "test":
                return outgoing.is_test
            case "project_id":
                return outgoing.project_id
            case "delivery_id":
                return str(outgoing.delivery_id)
            case _:
                head, *path = name.split(".")
                return _at(self._data, path) if head == "data" else self._of_request(head, ".".join(path))

    def _of_request(self, part: str, name: str) -> Any:
        """Return a value of the request that brought the event, or `_NOTHING` if it is missing. The name of a header
        may be in upper or lower case.
        """
        if self._outgoing.request is None:
            return _NOTHING
        request = read_json(self._outgoing.request.encode())
        match part:
            case "method" if not name:
                return request["method"]
            case "query":
                return request["query"].get(name, _NOTHING)
            case "headers":
                return request["headers"].get(name.lower(), _NOTHING)
            case _:
                return _NOTHING

    def _indented(self) -> str:
        if self._is_json and _lines(self._outgoing.body) <= _MOST_LINES:
            return to_json(self._data, indent=2).decode()
        return self._body()

    def _body(self) -> str:
        return self._outgoing.body.decode(errors="replace")


def _lines(body: bytes) -> int:
    """Return an upper bound of the number of lines of the indented JSON.

    Each line begins with its indentation, so a megabyte of nested lists would become 200 megabytes.
    """
    return body.count(b",") + 2 * (body.count(b"[") + body.count(b"{"))


def _at(data: Any, path: list[str]) -> Any:
    """Return the value at the path of names and indexes, or `_NOTHING` if there is none."""
    for step in path:
        match data:
            case dict() if step in data:
                data = data[step]
            case list() if _INDEX.fullmatch(step) and int(step) < len(data):
                data = data[int(step)]
            case _:
                return _NOTHING
    return data
