"""Limit how many bytes of requests a process holds while they are received and answered.

When the room is full, requests of the sender that holds the most are ended. So one sender can't take all of the room
from the others, and a small request is refused only if no other request can be ended for it.
"""

from collections import Counter
from collections.abc import Callable

SMALL = 65_536  # bytes
_SPARE = 8  # an eighth of the room is made free at once, so that it is seldom looked for


class Held:
    """The room that one request holds, in bytes.

    The function `sender` is called only when the request is large or room is short. `give_way` ends the request.
    """

    __slots__ = ("_room", "_sender", "_tell_sender", "bytes", "complete", "give_way")

    def __init__(self, room: "Room", sender: Callable[[], str], give_way: Callable[[], None]) -> None:
        self._room = room
        self._tell_sender = sender
        self._sender: str | None = None
        self.give_way = give_way
        """Ends the request, and releases what it holds."""
        self.bytes = 0
        self.complete = False
        room.requests.add(self)

    @property
    def sender(self) -> str:
        return self._tell_sender() if self._sender is None else self._sender

    def keep_sender(self) -> None:
        """Find out and keep the sender, so that its function is not called again.

        The headers of the request must be complete, because they may name the sender.
        """
        self._sender = self.sender

    def add(self, count: int) -> None:
        """Count bytes that have come. If the room is full, end this request or others.

        Bytes that come after `release` are not counted, because they are thrown away.
        """
        if self not in self._room.requests:
            return
        self._room.count(self, count)
        if self._room.bytes > self._room.limit:
            self._room.make(self)

    def release(self) -> None:
        if self in self._room.requests:
            self._room.requests.remove(self)
            self._room.count(self, -self.bytes)


class Room:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self.requests: set[Held] = set()
        self._large: Counter[str] = Counter()
        """The bytes of large requests by sender, kept up to date because a full room asks for them often."""

    def count(self, held: Held, count: int) -> None:
        before, held.bytes = held.bytes, held.bytes + count
        self.bytes += count
        if change := _if_large(held.bytes) - _if_large(before):
            held.keep_sender()
            self._large[held.sender] += change
            if not self._large[held.sender]:
                del self._large[held.sender]

    def has(self, held: Held, count: int) -> bool:
        """Return whether a request that announces `count` more bytes may go on.

        It may if the bytes fit, if they are few, or if another sender holds more. A request that is larger than the
        whole room may go on as well, because the application refuses it with a message of its own.
        """
        fits = self.bytes + count <= self.limit or count <= SMALL or count > self.limit
        return fits or not self._is_greediest(held)

    def make(self, newcomer: Held) -> None:
        """Make room by ending requests that are still being received.

        Only the newcomer is ended if it is large and its sender holds the most. If not, requests of the senders that
        hold the most are ended until an eighth of the room is free. The newcomer ends too if that was not enough.
        """
        if newcomer.bytes > SMALL and self._is_greediest(newcomer):
            newcomer.give_way()
            return
        others = [held for held in self.requests if not held.complete and held is not newcomer]
        by_sender: Counter[str] = Counter()
        for held in self.requests:
            by_sender[held.sender] += held.bytes
        others.sort(key=lambda held: (by_sender[held.sender], held.bytes))
        while others and self.bytes > self.limit - self.limit // _SPARE:
            others.pop().give_way()
        if self.bytes > self.limit:
            newcomer.give_way()

    def _is_greediest(self, held: Held) -> bool:
        return self._large[held.sender] >= max(self._large.values(), default=0)


def _if_large(count: int) -> int:
    return count if count > SMALL else 0
