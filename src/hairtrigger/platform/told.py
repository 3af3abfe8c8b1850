"""Remember what was logged, so that the same thing is not logged again and again."""

from collections import OrderedDict
from collections.abc import Hashable
from time import monotonic

_MOST = 1000  # things remembered


class Told:
    """Remembers for `again` seconds what was logged, or for less if more than `_MOST` things were."""

    def __init__(self, again: float) -> None:
        self._again = again
        self._at: OrderedDict[Hashable, float] = OrderedDict()

    def is_new(self, what: Hashable) -> bool:
        """Return whether `what` was not logged in the last `again` seconds. If so, remember it as logged now."""
        now = monotonic()
        if now - self._at.get(what, now - self._again) < self._again:
            return False
        self._at[what] = now
        self._at.move_to_end(what)
        if len(self._at) > _MOST:
            self._at.popitem(last=False)
        return True
