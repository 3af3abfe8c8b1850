"""Reads and writes the place of an event in a trace, as requests carry it: https://www.w3.org/TR/trace-context/

A sender may claim to be in any trace. So what it sends is checked and limited in length here, and nothing is decided by
it.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_KNOWN_FLAGS = 0b11  # sampled, and that the trace id is random
_SAMPLED = 0b01
_LONGEST_STATE = 512  # characters
_LONGEST_READ = 4096
_MOST_MEMBERS = 32
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A trace, and the span in it that is the parent of what comes next."""

    trace_id: str  # 32 hexadecimal digits
    span_id: str  # 16
    flags: int = _SAMPLED
    state: str = ""

    @property
    def sampled(self) -> bool:
        """Return whether the sender may have recorded its part of the trace."""
        return bool(self.flags & _SAMPLED)

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def of_event(self, _: UUID) -> str:
        """Return the text that is stored with an event, which is this context as the sender sent it: `traceparent`, and
        then `tracestate` after a space if there is any.
        """
        return f"{self.traceparent} {self.state}" if self.state else self.traceparent


@dataclass(frozen=True, slots=True)
class Begun:
    """A request or a poll that is under way, whose spans are recorded."""

    trace_id: str
    parent_id: str | None
    flags: int = _SAMPLED
    state: str = ""
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))

    def of_event(self, id_: UUID) -> str:
        """Return the text that is stored with the event of this id. It is the context of the event's own span, to which
        the spans of the event's attempts belong.
        """
        return TraceContext(self.trace_id, span_of(id_), self.flags, self.state).of_event(id_)


class Span(NamedTuple):
    """A part of a trace, which is some work from `start` to `end`."""

    name: str
    kind: Literal["internal", "server", "client", "producer", "consumer"]
    trace_id: str
    span_id: str
    parent_id: str | None
    start: datetime
    end: datetime
    attributes: Mapping[str, str | int]
    state: str = ""
    error: str | None = None


def span_of(event_id: UUID) -> str:
    """Return the id of the span in which an event was stored. It is the second half of the event's id, which
    is random.
    """
    return f"{event_id.int & (1 << 64) - 1:016x}"


def sent_context(headers: Mapping[str, str]) -> TraceContext | None:
    """Return the context that the headers of a request carry, or None if they carry no valid one. Header names are
    lower case. A `tracestate` that is not valid is left out.
    """
    given = headers.get("traceparent")
    if given is None:
        return None
    found = _PARENT.fullmatch(given)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS, _state(headers.get("tracestate", "")))


def stored_context(text: str) -> TraceContext:
    """Return the context that a stored text holds. The text must have been returned by an `of_event` above."""
    parent, _, state = text.partition(" ")
    _, trace_id, span_id, flags = parent.split("-")
    return TraceContext(trace_id, span_id, int(flags, 16), state)


def _state(given: str) -> str:
    """Return the value of a `tracestate`, or an empty text if it is not valid. Its last entries are left out as far as
    it is longer than 512 characters.
    """
    if len(given) > _LONGEST_READ:
        return ""
    members = [one for part in given.split(",") if (one := part.strip(" \t"))]
    keys = {one.partition("=")[0] for one in members}
    if len(members) > _MOST_MEMBERS or len(keys) < len(members) or not all(map(_MEMBER.fullmatch, members)):
        return ""
    while len(state := ",".join(members)) > _LONGEST_STATE:
        members.pop()
    return state
