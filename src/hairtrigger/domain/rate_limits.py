"""Reads from response headers how long to wait before the next request. The common forms of rate limits are read.

https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (`RateLimit`, and before it `RateLimit-Reset`)
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api (`X-RateLimit-Reset` in epoch seconds)
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from hairtrigger.domain.instants import from_epoch
from hairtrigger.domain.retry import parse_retry_after

_PREFIXES = ("ratelimit", "x-ratelimit", "x-rate-limit")
_TOO_MANY = 429
_ERROR = 400
_EPOCH_SECONDS = 10**9  # this number and above are a time since 1970, below it a length of time
_EPOCH_MILLISECONDS = 10**12
_PARTS = re.compile(r";\s*([rt])\s*=\s*(\d{1,10})")


def wait(status: int, headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return how long the provider asks us to wait, or None if it does not ask for a wait. Header names are lower case.

    A `Retry-After` counts with the status of any error. A header that says when the rate limit is reset counts with any
    status if nothing is left of the limit, and with 429 also if the headers do not say how much is left.
    """
    after = headers.get("retry-after")
    asked = parse_retry_after(after, now) if after and status >= _ERROR else None
    return asked or _until_reset(status, headers, now)


def _until_reset(status: int, headers: Mapping[str, str], now: datetime) -> timedelta | None:
    for prefix in _PREFIXES:
        reset, left = _number(headers.get(f"{prefix}-reset")), _number(headers.get(f"{prefix}-remaining"))
        if reset is not None and (left == 0 or (left is None and status == _TOO_MANY)):
            return _length(reset, now)
    return _of_fields(headers.get("ratelimit", ""))


def _of_fields(value: str) -> timedelta | None:
    """Return the longest wait among the limits of which nothing is left, or None if there are no such limits. `value`
    is that of the header `RateLimit`, with one or several items such as `"default";r=0;t=30`.
    """
    quotas = [dict(_PARTS.findall(one)) for one in value.split(",")]
    spent = [timedelta(seconds=int(one["t"])) for one in quotas if one.get("r") == "0" and "t" in one]
    return max(spent, default=None)


def _length(reset: float, now: datetime) -> timedelta:
    if reset < _EPOCH_SECONDS:
        return timedelta(seconds=reset)
    seconds = reset / 1000 if reset >= _EPOCH_MILLISECONDS else reset
    return max(from_epoch(seconds) - now, timedelta(0))


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\s*\d{1,16}(\.\d{1,9})?\s*", text) else None
