"""Room for requests: how many bytes of them a process holds, while they are received and answered.

When there is none left, the sender that holds most gives way. So one sender can't take all of it from the others, and a
small request is always received.
"""

from collections import Counter
from collections.abc import Callable

SMALL = 65_536  # bytes
_SPARE = 8  # an eighth of the room is made free at once, so that it is seldom looked for


class Held:
    """The bytes that one request holds. `sender` is asked for only when the request is large, or there is no room."""

    __slots__ = ("_room", "_sender", "_tell_sender", "bytes", "complete", "give_way")

    def __init__(self, room: "Room", sender: Callable[[], str], give_way: Callable[[], None]) -> None:
        self._room = room
        self._tell_sender = sender
        self._sender: str | None = None
        self.give_way = give_way
        """End the request, and release what it holds."""
        self.bytes = 0
        self.complete = False
        room.requests.add(self)

    @property
    def sender(self) -> str:
        return self._tell_sender() if self._sender is None else self._sender

    def keep_sender(self) -> None:
        """Ask for the sender for the last time. A request whose headers are complete can tell it."""
        self._sender = self.sender

    def add(self, count: int) -> None:
        """Count bytes that have come. This may end this request, or others.

        Bytes that come after the answer are thrown away and not counted.
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
        """Return whether a request that announces so many bytes may go on.

        A request that no room could hold may go on: the application refuses it in its own words.
        """
        fits = self.bytes + count <= self.limit or count <= SMALL or count > self.limit
        return fits or not self._is_greediest(held)

    def make(self, newcomer: Held) -> None:
        """End requests that are still being received: those of the senders that hold most, or else the newcomer's."""
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
