"""Guessing passwords is slowed down, without locking out whoever knows the password.

Only wrong passwords count, for the account and for the place they come from. Each place from which an account's
password was given before has an allowance of its own; all other places share one. So a stranger's guesses use up
none of the owner's. What is remembered is bounded, and lost when the process ends.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from hairtrigger.domain.errors import RateLimited

_Value = TypeVar("_Value")

_REFUSAL = "Too many wrong passwords. Wait a moment."
_MOST_REMEMBERED = 20_000
_EASY = 10  # wrong passwords, before answers to more of them ask to wait


@dataclass(frozen=True)
class _Allowance:
    """So many wrong passwords at once, and one more each `every`."""

    of: bytes
    at_once: int
    every: timedelta


@dataclass(frozen=True)
class Guess:
    """One attempt to log in: it counts as wrong until it is said to be none."""

    known: bytes
    at: datetime
    allowances: tuple[_Allowance, ...]


@dataclass(frozen=True, eq=False)
class Guessing:
    """`spent` is when each allowance will be whole again; `known` are places of accounts that knew the password."""

    spent: OrderedDict[bytes, datetime] = field(default_factory=OrderedDict)
    known: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    def begin(self, account: str, place: str, now: datetime) -> Guess:
        """Raises `RateLimited` when too many were wrong. `place` is empty where it can't be told."""
        pair = _digest("pair", account, place)
        if pair in self.known:
            guess = Guess(pair, now, (_Allowance(pair, 100, timedelta(minutes=1)),))
        else:
            of_all = (_Allowance(_digest("account", account), 20, timedelta(seconds=30)),)
            of_place = (_Allowance(_digest("place", place), 30, timedelta(seconds=6)),) if place else ()
            guess = Guess(pair, now, of_all + of_place)
        for allowance in guess.allowances:
            if (left := self._used(allowance, now) - allowance.at_once + 1) > 0:
                raise RateLimited(_REFUSAL, retry_after=left * allowance.every)
        self._count(guess, 1)
        return guess

    def was_right(self, guess: Guess) -> None:
        self._count(guess, -1)
        _remember(self.known, guess.known, None)

    def was_none(self, guess: Guess) -> None:
        """It ended before the password was looked at."""
        self._count(guess, -1)

    def was_wrong(self, guess: Guess) -> None:
        """Raises `RateLimited` after the first few. A right password is still taken then, until none is looked at."""
        of_account = guess.allowances[0]
        if self._used(of_account, guess.at) > _EASY:
            raise RateLimited(_REFUSAL, retry_after=of_account.every)

    def _used(self, allowance: _Allowance, now: datetime) -> float:
        return max(self.spent.get(allowance.of, now) - now, timedelta()) / allowance.every

    def _count(self, guess: Guess, number: int) -> None:
        for allowance in guess.allowances:
            whole_at = max(self.spent.get(allowance.of, guess.at), guess.at) + number * allowance.every
            _remember(self.spent, allowance.of, whole_at)


def _remember(what: OrderedDict[bytes, _Value], key: bytes, value: _Value) -> None:
    what[key] = value
    what.move_to_end(key)
    if len(what) > _MOST_REMEMBERED:
        what.popitem(last=False)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
