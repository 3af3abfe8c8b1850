"""The places at which a provider's JSON holds the parts of an event: its key, type, subject and time.

With them, a provider file says which events a trigger wants, and needs no class for the provider's JSON:

    EVENTS = kit.Fields(key="/id", type="/type", subject="/data/object/id", at="/created", unit="s")

    events=EVENTS.only("customer.created")            # of a webhook: the `events` of its trigger
    EVENTS.drafts(answer["results"])                  # of a poll: the events of a list
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from hairtrigger.domain.errors import Malformed, NotWanted, ProviderFailed
from hairtrigger.domain.event import Draft
from hairtrigger.kit.config import Config, EpochSeconds, Instant
from hairtrigger.kit.incoming import Incoming
from hairtrigger.kit.places import at_pointer

C = TypeVar("C", bound=Config)

_TIMES: dict[str, TypeAdapter[datetime]] = {"iso": TypeAdapter(Instant), "s": TypeAdapter(EpochSeconds)}
_LONGEST_TOLD = 100


class _Absent(Exception):
    """A place holds nothing that can be read. The argument names the place."""


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The places of an event's parts, as JSON pointers (RFC 6901).

    `key` is one place, or several whose texts are joined by a colon, such as the id of a thing and the time of its
    change. `unit` says how the time is written: as a text (`iso`), or as a number of seconds (`s`) or milliseconds
    (`ms`). A body without a time at its place is refused. `each` is the place of the list of events in a body that
    brings several of them; an empty text stands for the whole body.
    """

    key: str | tuple[str, ...]
    type: str = ""
    subject: str = ""
    at: str = ""
    unit: Literal["iso", "s", "ms"] = "iso"
    each: str | None = None

    def only(
        self, *types: str, when: Callable[[Any, C], bool] = lambda _, __: True
    ) -> Callable[[Incoming[C]], Iterable[Draft]]:
        """Return the `events` of a trigger that wants events of these types, or of any type if none is given.

        `when` is called with the event's JSON and the trigger's configuration, and returns whether the event is wanted.
        """

        def events(incoming: Incoming[C]) -> Iterable[Draft]:
            try:
                body = incoming.json()
                if self.each is None:
                    if types and (given := _text(body, self.type)) not in types:
                        told = given[:_LONGEST_TOLD]
                        raise NotWanted(f"It is a {told}; this trigger listens to {', '.join(types)}.")
                    return [self._draft(body, incoming.request.body)] if when(body, incoming.config) else []
                return [
                    self._draft(one, to_json(one))
                    for one in _list(body, self.each)
                    if (not types or _text(one, self.type) in types) and when(one, incoming.config)
                ]
            except _Absent as absent:
                raise Malformed(f"The body is not this provider's JSON: {absent}.") from None

        return events

    def drafts(self, things: object) -> list[Draft]:
        """Return the events of a list in a provider's answer. Raise `ProviderFailed` if it has another shape."""
        try:
            return [self._draft(one, to_json(one)) for one in _list(things, "")]
        except _Absent as absent:
            raise ProviderFailed(f"The provider's answer is not what we know: {absent}.") from None

    def _draft(self, value: Any, data: bytes) -> Draft:
        places = (self.key,) if isinstance(self.key, str) else self.key
        subject = at_pointer(value, self.subject) if self.subject else None
        return Draft(
            key=":".join(_text(value, place) for place in places),
            data=data,
            subject=str(subject) if isinstance(subject, str | int) and subject != "" else None,
            occurred_at=self._time(value) if self.at else None,
        )

    def _time(self, value: Any) -> datetime:
        found = at_pointer(value, self.at)
        try:
            if self.unit == "ms":
                return _TIMES["s"].validate_python(float(found) / 1000)
            return _TIMES[self.unit].validate_python(found)
        except (ValidationError, ValueError, TypeError):
            raise _absent(self.at) from None


def _text(value: Any, place: str) -> str:
    """Return the text or the whole number at the place, as a text that is not empty."""
    found = at_pointer(value, place)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        raise _absent(place)
    text = str(found)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _absent(place) from None
    return text


def _list(value: Any, place: str) -> Sequence[Any]:
    found = at_pointer(value, place)
    if not isinstance(found, list):
        raise _absent(place)
    return found


def _absent(place: str) -> _Absent:
    return _Absent(f"{place.removeprefix('/') or 'the body'} is missing or of the wrong type")
