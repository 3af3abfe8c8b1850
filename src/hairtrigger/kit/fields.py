"""Reads the parts of an event, which are its key, type, subject and time, from places in a provider's JSON.

With these places, a provider file says which events a trigger wants, and needs no class for the provider's JSON:

    EVENTS = kit.Fields(key="/id", type="/type", subject="/data/object/id", at="/created", unit="s")

    events=EVENTS.only("customer.created")            # of a webhook: the `events` of its trigger
    EVENTS.drafts(answer["results"])                  # of a poll: the events of a list
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from pydantic import NaiveDatetime, TypeAdapter, ValidationError
from pydantic_core import to_json

from hairtrigger.domain.errors import Malformed, NotWanted, ProviderFailed
from hairtrigger.domain.event import Draft, digest
from hairtrigger.domain.instants import instant
from hairtrigger.kit.config import EpochSeconds, Instant
from hairtrigger.kit.incoming import Incoming, Request
from hairtrigger.kit.places import at_place, at_pointer, text_at

Unless = Callable[[Any, Any], str | None]
_LONGEST_TOLD = 100
_ISO: TypeAdapter[datetime] = TypeAdapter(Instant)
_EPOCH: TypeAdapter[datetime] = TypeAdapter(EpochSeconds)
_WITHOUT_ZONE: TypeAdapter[datetime] = TypeAdapter(NaiveDatetime)


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The places of an event's parts, each as a JSON pointer (RFC 6901) or as `header:NAME` of the request that brings
    the event.

    `key` is one place, or several whose texts are joined by a colon, such as the id of a thing and the time of its
    change. Without places, the digest of the event is the key. If a text stands at one of the places `ids`, the first
    such text is the key instead. `type` is one place, or several, of which the texts that are there are joined by a
    dot. `unit` says how the time `at` is written: as a text (`iso`), as a text in UTC without an offset (`utc`), as in
    mails (`mail`), or as a number of seconds (`s`) or milliseconds (`ms`). `each` is the place of the list of events in
    a body that brings several of them; an empty text stands for the whole body. `former` are the places of the keys
    that earlier versions took: see `Draft.former_keys`.
    """

    key: str | tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    type: str | tuple[str, ...] = ()
    subject: str = ""
    at: str = ""
    unit: Literal["iso", "utc", "mail", "s", "ms"] = "iso"
    each: str | None = None
    former: tuple[str, ...] = ()

    @property
    def explained(self) -> str:
        """Return a sentence for users that says what tells an event from all others."""
        places = " and ".join(f"`{place}`" for place in _places(self.key))
        whole = "the event" if self.each is not None else "the body"
        key = f"What is at {places} in {whole}" if places else f"The digest of {whole}"
        ids = " or ".join(f"`{place}`" for place in self.ids)
        return f"What is at {ids} or, where there is none: {key[0].lower()}{key[1:]}." if ids else f"{key}."

    def only(self, *types: str, unless: Unless | None = None) -> Callable[[Incoming[Any]], Iterable[Draft]]:
        """Return the function `events` of a trigger that wants events of these types, or of any type if none is given.

        `unless` is called with the event's JSON and the trigger's configuration, and returns the reason why the event
        is not wanted, or None if it is. If a request brings no event that is wanted, `events` raises `NotWanted` with
        the first reason.
        """

        def events(incoming: Incoming[Any]) -> Iterable[Draft]:
            found, reasons = [], []
            for thing, data in self._things(incoming):
                reason = self._other(incoming.request, thing, types) or (unless and unless(thing, incoming.config))
                if reason:
                    reasons.append(reason)
                else:
                    found.append(self._draft(thing, data, incoming.request))
            if reasons and not found:
                raise NotWanted(reasons[0])
            return found

        return events

    def drafts(self, things: object) -> list[Draft]:
        """Return the events of a list in a provider's answer, in the order of the list. Raise `ProviderFailed` if it is
        no list, or if an event has another shape.
        """
        try:
            return [self._draft(_object(one), to_json(one), None) for one in _list(things, "")]
        except Malformed as error:
            raise ProviderFailed(f"The provider's answer is not what we know. {error.message}") from error

    def _things(self, incoming: Incoming[Any]) -> Iterator[tuple[Any, bytes]]:
        body = incoming.json()
        if self.each is None:
            yield _object(body), incoming.request.body
            return
        for one in _list(body, self.each):
            yield _object(one), to_json(one)

    def _other(self, request: Request, thing: Any, types: tuple[str, ...]) -> str | None:
        if not types:
            return None
        parts = [part for place in _places(self.type) if (part := _text(thing, place, request))]
        if not parts:
            raise _missing(_places(self.type)[0])
        given = ".".join(parts)
        if given in types:
            return None
        return f"It is a {given[:_LONGEST_TOLD]}; this trigger listens to {', '.join(types)}."

    def _draft(self, thing: Any, data: bytes, request: Request | None) -> Draft:
        return Draft(
            key=self._key(thing, data, request),
            data=data,
            subject=_text(thing, self.subject, request) if self.subject else None,
            occurred_at=self._time(thing, request) if self.at else None,
            former_keys=tuple(filter(None, (_text(thing, place, request) for place in self.former))),
        )

    def _key(self, thing: Any, data: bytes, request: Request | None) -> str:
        if id_ := next(filter(None, (_text(thing, place, request) for place in self.ids)), None):
            return id_
        parts = {place: _text(thing, place, request) for place in _places(self.key)}
        if missing := [place for place, part in parts.items() if part is None]:
            raise _missing(missing[0])
        return ":".join(map(str, parts.values())) if parts else digest(data)

    def _time(self, thing: Any, request: Request | None) -> datetime:
        found: Any = at_place(request, self.at, thing) if request else at_pointer(thing, self.at)
        try:
            match self.unit:
                case "iso":
                    return _ISO.validate_python(found)
                case "utc":
                    return instant(_WITHOUT_ZONE.validate_python(found))
                case "mail":
                    return instant(parsedate_to_datetime(found))
                case "s":
                    return _EPOCH.validate_python(float(found))
                case "ms":
                    return _EPOCH.validate_python(float(found) / 1000)
        except (ValidationError, ValueError, TypeError):
            raise _missing(self.at) from None


def _places(place: str | tuple[str, ...]) -> tuple[str, ...]:
    return (place,) if isinstance(place, str) else place


def _text(thing: Any, place: str, request: Request | None) -> str | None:
    """Return the text or the whole number at the place as text. Return None if there is neither, or if the text is
    empty or not valid Unicode.
    """
    if request:
        text = text_at(request, place, thing)
    else:
        found = at_pointer(thing, place)
        text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else None
    try:
        return text if text and text.encode() else None
    except UnicodeEncodeError:
        return None


def _list(value: Any, place: str) -> list[Any]:
    found = at_pointer(value, place)
    if not isinstance(found, list):
        raise _missing(place)
    return found


def _object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise Malformed("The body is not this provider's JSON: an event is no object.")
    return value


def _missing(place: str) -> Malformed:
    where = place.removeprefix("/") or "the body"
    return Malformed(f"The body is not this provider's JSON: {where} is missing or of the wrong type.")
