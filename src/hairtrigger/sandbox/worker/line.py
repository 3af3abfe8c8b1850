"""Orders the work of a sandbox worker by the CPU time that its tenants have used."""

from collections import deque

from hairtrigger.sandbox.protocol.frames import Frame

_MOST_REMEMBERED = 1000  # tenants without work


class Line:
    """The frames that wait to be handled, by tenant. The tenant that has used the least CPU time is next.

    So a tenant whose code takes long waits for tenants whose code does not. The frames of one tenant keep their order.
    """

    def __init__(self) -> None:
        self._frames: dict[str, deque[Frame]] = {}
        self._spent: dict[str, float] = {}  # seconds
        self._least = 0.0  # what a tenant that comes counts as having spent: it gets no credit for the time before
        self.bytes = 0

    def __bool__(self) -> bool:
        return bool(self._frames)

    def add(self, tenant: str, frame: Frame) -> None:
        if tenant not in self._frames:
            self._frames[tenant] = deque()
            self._spent[tenant] = max(self._spent.get(tenant, 0.0), self._least)
        self._frames[tenant].append(frame)
        self.bytes += len(frame.body)

    def next(self) -> tuple[str, Frame]:
        tenant = min(self._frames, key=self._spent.__getitem__)
        self._least = self._spent[tenant]
        frames = self._frames[tenant]
        frame = frames.popleft()
        if not frames:
            del self._frames[tenant]
        self.bytes -= len(frame.body)
        return tenant, frame

    def charge(self, tenant: str, seconds: float) -> None:
        self._spent[tenant] = self._spent.get(tenant, self._least) + seconds
        if len(self._spent) > _MOST_REMEMBERED + len(self._frames):
            self._spent = {one: spent for one, spent in self._spent.items() if one in self._frames}

    def drop(self, tenant: str, poll: int) -> None:
        """Remove all frames of one of the tenant's polls."""
        frames = self._frames.pop(tenant, deque())
        self.bytes -= sum(len(frame.body) for frame in frames if frame.poll == poll)
        if others := deque(frame for frame in frames if frame.poll != poll):
            self._frames[tenant] = others
