"""Slow down the guessing of passwords, without locking out a user who knows the password.

In this module, an *account* is a user's e-mail address, and a *place* is where a login comes from. Only wrong passwords
count, both for the account and for the place. Each place from which the account's right password came before has an
allowance of its own, and all other places share one. So the guesses of a stranger use up nothing of the user's own
allowance. The memory for this is bounded, and is lost when the process ends.
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
_EASY = 10  # so many wrong passwords are answered without a request to wait


@dataclass(frozen=True)
class _Allowance:
    """The right to send `at_once` wrong passwords, and one more after each time `every`. `of` is the digest of its
    owner.
    """

    of: bytes
    at_once: int
    every: timedelta


@dataclass(frozen=True)
class Guess:
    """One login with a password. It counts as wrong until `was_right` or `was_none` takes it back."""

    known: bytes
    at: datetime
    allowances: tuple[_Allowance, ...]


@dataclass(frozen=True, eq=False)
class Guessing:
    """The allowances for wrong passwords.

    `spent` holds the time at which each allowance is whole again, by the digest of its owner. `known` holds, as
    digests, the pairs of an account and a place from which its right password came.
    """

    spent: OrderedDict[bytes, datetime] = field(default_factory=OrderedDict)
    known: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    def begin(self, account: str, place: str, now: datetime) -> Guess:
        """Count a guess as wrong until its result is known, and return it.

        Raise `RateLimited` if one of its allowances is used up. `place` is empty if it is unknown.
        """
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
        """Take back a guess that ended before its password was checked."""
        self._count(guess, -1)

    def was_wrong(self, guess: Guess) -> None:
        """Leave the guess counted as wrong, and raise `RateLimited` if more than the first few were wrong.

        The right password is still accepted after that, until `begin` refuses all guesses.
        """
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
