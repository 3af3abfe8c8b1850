"""Reads the agent's message from a chat completion, which comes whole or as a stream, and may be cut off or broken.

https://platform.openai.com/docs/api-reference/chat/object
https://platform.openai.com/docs/api-reference/chat-streaming/streaming
"""

import codecs
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import from_json

from hairtrigger.platform.egress import Reply

_MOST_PARTS = 50_000  # in a JSON text: more would take too long to read
_MOST_ESCAPES = 20_000  # in a JSON text that has to be mended
_SLICE = 4 * 1024
_MOST_EVENTS = 20_000  # in a stream
_EVENT = 64  # an event costs at least as much as this many bytes

_DATA = "\ndata:"
_FIELDS = ("data:", "event:", "id:", "retry:", ":")  # the beginnings of lines in an event stream
_HALF_PAIR = re.compile(
    r"\\(?:([^u]|u(?![dD][89a-fA-F])|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F])|u[dD][89a-fA-F][0-9a-fA-F]{2})"
)

Pause = Callable[[int], Awaitable[None]]
"""A function that is awaited before work on the event loop, and returns when the work's turn has come. Its argument is
the cost of the work, as the number of bytes whose reading costs as much.
"""


class Unreadable(Exception):
    """No message can be read. The text of the error is the reason, as words that can follow "because"."""


async def message_in(reply: Reply, pause: Pause) -> dict[str, Any]:
    """Return the agent's message as a conversation holds it, with its role, its content and its calls of tools. Raises
    `Unreadable` if the answer holds no message.
    """
    if not reply.body or reply.body.isspace():
        raise Unreadable("the answer is empty")
    text = await _text(reply.body, pause)
    try:
        if _is_stream(reply, text):
            return await _streamed(text, pause)
        await pause(len(text))
        return _message(_json(text, cut=reply.flaw is not None))
    finally:
        await pause(len(text))  # freeing large texts takes a moment, too


def _is_stream(reply: Reply, text: str) -> bool:
    kind = (reply.header("content-type") or "").partition(";")[0].strip().lower()
    return kind == "text/event-stream" or text[:_SLICE].lstrip().startswith(_FIELDS)


async def _text(body: bytes, pause: Pause) -> str:
    """Return the body as text. Raises `Unreadable` if it is not text.

    The body is decoded in slices, because bytes that are not text take long to decode.
    """
    encoding = json.detect_encoding(body)
    errors = "replace" if encoding.startswith("utf-8") else "strict"  # replacing is very slow in the others
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    parts = []
    try:
        for start in range(0, len(body), _SLICE):
            await pause(_SLICE)
            parts.append(decoder.decode(body[start : start + _SLICE]))
    except UnicodeDecodeError:
        raise Unreadable("the answer is not text") from None
    await pause(len(body))
    return "".join(parts).removeprefix("\ufeff")


def _json(text: str, *, cut: bool = False) -> Any:
    """Return the JSON value of the text. With `cut`, the text may be only the beginning of JSON, and the value holds
    what is there. Raises `Unreadable`.
    """
    if sum(map(text.count, ",[{")) > _MOST_PARTS:
        raise Unreadable("the answer has too many parts")
    partial: Literal["trailing-strings", "off"] = "trailing-strings" if cut else "off"
    with suppress(ValueError):
        return from_json(text, allow_partial=partial)
    mended = _without_half_pairs(text)
    if mended != text:
        with suppress(ValueError):
            return from_json(mended, allow_partial=partial)
    raise Unreadable("the answer is not JSON")


def _without_half_pairs(text: str) -> str:
    """Return JSON text with U+FFFD in place of escapes of lone surrogates, which some agents write although they are
    not valid text.

    A text with very many escapes is returned unchanged.
    """
    if text.count("\\") > _MOST_ESCAPES:
        return text
    return _HALF_PAIR.sub(lambda found: "\\" + (found[1] or "ufffd"), text)


def _message(answer: Any) -> dict[str, Any]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list):
        raise Unreadable("the answer has no choices")
    for choice in choices:
        match choice:
            case {"message": dict() as said} | {"delta": dict() as said} if kept := _kept(said):
                return kept
            case {"message": str() as content} | {"text": str() as content}:
                return {"role": "assistant", "content": content}
    raise Unreadable("the answer holds no message")


def _kept(said: dict[str, Any]) -> dict[str, Any] | None:
    """Return the parts of a message that a conversation keeps, or None if it has neither content nor calls of tools."""
    role, content = said.get("role"), said.get("content")
    calls = {name: said[name] for name in ("tool_calls", "function_call") if said.get(name)}
    if content is None:
        content = said.get("refusal")
    if content is None and not calls:
        return None
    return {"role": role if isinstance(role, str) and role else "assistant", "content": content, **calls}


@dataclass
class _Call:
    """A call of a tool, put together from the pieces of a stream."""

    head: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)

    def add(self, piece: dict[str, Any]) -> None:
        self.head |= {key: value for key, value in piece.items() if key in {"id", "type"} and value is not None}
        function = piece.get("function")
        if isinstance(function, dict):
            _add(self.names, function.get("name"))
            _add(self.arguments, function.get("arguments"))

    def whole(self) -> dict[str, Any]:
        return {**self.head, "function": {"name": "".join(self.names), "arguments": "".join(self.arguments)}}


@dataclass
class _Parts:
    """A message, put together from the pieces of a stream."""

    role: str | None = None
    content: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    calls: dict[int, _Call] = field(default_factory=dict)

    def add(self, delta: dict[str, Any]) -> None:
        role, calls = delta.get("role"), delta.get("tool_calls")
        self.role = self.role or (role if isinstance(role, str) else None)
        _add(self.content, delta.get("content"))
        _add(self.refusal, delta.get("refusal"))
        for place, piece in enumerate(calls if isinstance(calls, list) else []):
            if isinstance(piece, dict):
                number = piece.get("index")
                self.calls.setdefault(number if isinstance(number, int) else place, _Call()).add(piece)

    def whole(self) -> dict[str, Any] | None:
        return _kept(
            {
                "role": self.role,
                "content": "".join(self.content) if self.content else None,
                "refusal": "".join(self.refusal) if self.refusal else None,
                "tool_calls": [call.whole() for call in self.calls.values()],
            }
        )


async def _streamed(text: str, pause: Pause) -> dict[str, Any]:
    """Return the message that the events of a stream hold together. Server-sent events that can't be read are left out.
    Raises `Unreadable`.
    """
    await pause(len(text))
    parts = _Parts()
    for number, data in enumerate(_data_of("\n" + text.replace("\r\n", "\n").replace("\r", "\n"))):
        if number == _MOST_EVENTS:
            raise Unreadable("the stream has too many parts")
        await pause(_EVENT + len(data))
        for delta in _deltas(data):
            parts.add(delta)
    message = parts.whole()
    if message is None:
        raise Unreadable("the stream holds no message")
    return message


def _data_of(stream: str) -> Iterator[str]:
    start = 0
    while (start := stream.find(_DATA, start)) >= 0:
        end = stream.find("\n", start + 1)
        yield stream[start + len(_DATA) : end if end >= 0 else None]
        start = end if end >= 0 else len(stream)


def _deltas(data: str) -> Iterator[dict[str, Any]]:
    try:
        chunk = _json(data)
    except Unreadable:
        return
    match chunk:
        case {"choices": [{"delta": dict() as delta}, *_]} | {"choices": [{"message": dict() as delta}, *_]}:
            yield delta
        case {"choices": [{"text": str() as text}, *_]}:
            yield {"content": text}


def _add(pieces: list[str], piece: object) -> None:
    if isinstance(piece, str):
        pieces.append(piece)
