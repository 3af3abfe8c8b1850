"""A memory of what was told, so that the log is not told the same again and again."""

from collections import OrderedDict
from collections.abc import Hashable
from time import monotonic

_MOST = 1000  # things remembered


class Told:
    """Remembers for `again` seconds what was told."""

    def __init__(self, again: float) -> None:
        self._again = again
        self._at: OrderedDict[Hashable, float] = OrderedDict()

    def is_new(self, what: Hashable) -> bool:
        """Return whether this was not told lately, and count it as told now."""
        now = monotonic()
        if now - self._at.get(what, now - self._again) < self._again:
            return False
        self._at[what] = now
        self._at.move_to_end(what)
        if len(self._at) > _MOST:
            self._at.popitem(last=False)
        return True
