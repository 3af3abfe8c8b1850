"""A cache of objects that were made from users' texts."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from hairtrigger.platform.batching import MEBIBYTE

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """A cache that keeps the values used last: at most `most` values, with at most `most_bytes` in all.

    The caller of `keep` estimates the size of a value. A value larger than a hundredth of `most_bytes` is not kept.
    """

    def __init__(self, most: int, most_bytes: int = 64 * MEBIBYTE) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def keep(self, key: K, value: V, size: int) -> None:
        self.forget(key)
        if size > self._most_bytes // 100:
            return
        self._values[key] = value, size
        self.bytes += size
        while len(self._values) > self._most or self.bytes > self._most_bytes:
            _, (_, freed) = self._values.popitem(last=False)
            self.bytes -= freed

    def forget(self, key: K) -> None:
        _, size = self._values.pop(key, (None, 0))
        self.bytes -= size
