"""Packs and parses the frames between the service and a sandbox worker.

A frame is a header of 13 bytes, a head of JSON and a body of bytes. A sandbox worker is trusted no more than the code
that it runs, so the service checks all values of its frames where they are used.
"""

import json
import socket
import struct
from enum import IntEnum
from typing import Any, NamedTuple

HEADER = struct.Struct(">BIII")  # kind, poll, length of the head, length of the body
LARGEST = 64 * 1024 * 1024
_AT_ONCE = 256 * 1024
_in_json = json.JSONEncoder(separators=(",", ":")).encode


class Kind(IntEnum):
    # To the sandbox worker.
    HELLO = 1  # head: limits, unlocked; body: the compiled guest, or empty to have the guest compiled
    RUN = 2  # body: the job as JSON, for the guest's `start`
    CHECK = 3  # body: code as JSON, for the guest's `check`
    RESPONSE = 4  # head: fetch, answer (JSON, for the guest's `respond`); body: that of the response
    CANCEL = 5
    PING = 13
    REPLAY = 16  # head: at, fetch, answer, or null after the last entry; body: that of the response
    # From the sandbox worker.
    READY = 6  # head: the walls; or body: the compiled guest, if HELLO brought none
    REFUSED = 15  # instead of READY; head: the reason
    LOG = 7  # head: a line
    FETCH = 8  # head: fetch, request (JSON, as the guest wrote it), has_body; body: that of the request
    ABORT = 9  # head: fetch
    DONE = 10  # head: cpu (seconds), memory (bytes); body: the result as JSON
    FAILED = 11  # head: kind, name, message, stack, cpu, memory
    GONE = 12  # the answer to CANCEL
    ENTERED = 17  # an entry for a recording; head: at, fetch
    PONG = 14


class Malformed(Exception):
    """The bytes that arrived are not a frame that the other side may send."""


class Frame(NamedTuple):
    kind: Kind
    poll: int = 0
    head: Any = None
    body: bytes = b""

    def packed(self) -> bytes:
        head = _in_json(self.head).encode()
        return HEADER.pack(self.kind, self.poll, len(head), len(self.body)) + head + self.body


class Header(NamedTuple):
    kind: Kind
    poll: int
    head_length: int
    body_length: int

    @classmethod
    def parsed(cls, data: bytes | bytearray, largest: int = LARGEST) -> "Header":
        try:
            kind, poll, head_length, body_length = HEADER.unpack(data)
            header = cls(Kind(kind), poll, head_length, body_length)
        except (struct.error, ValueError) as error:
            raise Malformed(str(error)) from None
        if header.length > largest:
            raise Malformed(f"{header.length} bytes are too many for a frame")
        return header

    @property
    def length(self) -> int:
        return self.head_length + self.body_length

    def frame(self, payload: bytes) -> Frame:
        try:
            head = json.loads(payload[: self.head_length])
        except (ValueError, RecursionError) as error:
            raise Malformed(str(error)) from None
        return Frame(self.kind, self.poll, head, payload[self.head_length :])


class Incoming:
    """Takes frames from a blocking socket, with as few reads as possible. `take` raises `Malformed` for bytes that are
    not a frame.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._data = bytearray()

    @property
    def waits(self) -> bool:
        """Return whether the beginning of the next frame, or all of it, has been read from the socket already."""
        return bool(self._data)

    def take(self) -> Frame | None:
        """Wait for the next frame and return it, or return None if the other side has closed the socket."""
        if not self._has(HEADER.size):
            return None
        header = Header.parsed(self._data[: HEADER.size])
        end = HEADER.size + header.length
        if not self._has(end):
            return None
        payload = bytes(self._data[HEADER.size : end])
        del self._data[:end]
        return header.frame(payload)

    def _has(self, length: int) -> bool:
        while len(self._data) < length:
            more = self._connection.recv(_AT_ONCE)
            if not more:
                return False
            self._data += more
        return True
