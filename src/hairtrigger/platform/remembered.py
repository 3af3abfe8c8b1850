"""Cache objects that were made from users' texts."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from hairtrigger.platform.batching import MEBIBYTE

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[V]):
    value: V = field(repr=False)
    size: int
    owner: Hashable


@dataclass
class _Owner(Generic[K]):
    keys: OrderedDict[K, None] = field(default_factory=OrderedDict)
    bytes: int = 0


class Remembered(Generic[K, V]):
    """A cache that keeps the values used last: at most `most` values, with at most `most_bytes` in all.

    The caller of `keep` estimates the size of a value. A value larger than a hundredth of `most_bytes` is not kept.
    When the cache is full, a new value displaces the value that was used the longest ago, among all values, or only
    among those of its own owner if that owner has more than an equal part of the cache.
    """

    def __init__(self, most: int, most_bytes: int = 64 * MEBIBYTE) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._values: OrderedDict[K, _Kept[V]] = OrderedDict()
        self._of_owners: dict[Hashable, _Owner[K]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        self._of_owners[found.owner].keys.move_to_end(key)
        return found.value

    def keep(self, key: K, value: V, size: int, owner: Hashable = None) -> None:
        self.forget(key)
        if size > self._most_bytes // 100:
            return
        self._values[key] = _Kept(value, size, owner)
        its = self._of_owners.setdefault(owner, _Owner())
        its.keys[key] = None
        its.bytes += size
        self.bytes += size
        while len(self._values) > self._most or self.bytes > self._most_bytes:
            self.forget(next(iter(its.keys if self._has_too_much(its) else self._values)))

    def _has_too_much(self, its: _Owner[K]) -> bool:
        owners = len(self._of_owners)
        return len(its.keys) * owners > self._most or its.bytes * owners > self._most_bytes

    def forget(self, key: K) -> None:
        if found := self._values.pop(key, None):
            its = self._of_owners[found.owner]
            del its.keys[key]
            its.bytes -= found.size
            self.bytes -= found.size
            if not its.keys:
                del self._of_owners[found.owner]
