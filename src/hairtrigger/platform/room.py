"""Room for requests: how many bytes of them a process holds, while they are received and answered.

When there is none left, whoever holds most gives way. So one sender can't take all of it from the others, and a small
request is always received.
"""

from collections import Counter
from collections.abc import Callable

SMALL = 65_536  # bytes
_SPARE = 8  # an eighth of the room is made free at once, so that it is seldom looked for


class Held:
    """What one request holds. `sender` is asked for only when there is no room."""

    __slots__ = ("_room", "bytes", "complete", "give_way", "sender")

    def __init__(self, room: "Room", sender: Callable[[], str], give_way: Callable[[], None]) -> None:
        self._room = room
        self.sender = sender
        self.give_way = give_way
        """Ends the request, and releases what it holds."""
        self.bytes = 0
        self.complete = False
        room.requests.add(self)

    def add(self, count: int) -> None:
        """May end this request, or others. What comes after the answer is thrown away, and not counted."""
        room = self._room
        if self not in room.requests:
            return
        self.bytes += count
        room.bytes += count
        if room.bytes > room.limit:
            room.make(self)

    def release(self) -> None:
        if self in self._room.requests:
            self._room.requests.remove(self)
            self._room.bytes -= self.bytes


class Room:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self.requests: set[Held] = set()

    def has(self, held: Held, count: int) -> bool:
        """Return whether a request that announces so many bytes may go on."""
        fits = (
            self.bytes + count <= self.limit or count <= SMALL or count > self.limit
        )  # too many for any: not our word
        return fits or not self._is_greediest(held, self._by_sender())

    def make(self, newcomer: Held) -> None:
        """Ends requests that are still being received, of the senders that hold most, or else the newcomer's."""
        by_sender = self._by_sender()
        if newcomer.bytes > SMALL and self._is_greediest(newcomer, by_sender):
            newcomer.give_way()
            return
        others = [held for held in self.requests if not held.complete and held is not newcomer]
        others.sort(key=lambda held: (by_sender[held.sender()], held.bytes))
        while others and self.bytes > self.limit - self.limit // _SPARE:
            others.pop().give_way()
        if self.bytes > self.limit:
            newcomer.give_way()

    def _by_sender(self) -> Counter[str]:
        counted: Counter[str] = Counter()
        for held in self.requests:
            counted[held.sender()] += held.bytes
        return counted

    def _is_greediest(self, held: Held, by_sender: Counter[str]) -> bool:
        return by_sender[held.sender()] >= max(by_sender.values(), default=0)
