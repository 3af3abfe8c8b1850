"""Providers say in their own ways when to ask again, and each of these ways is understood."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain import rate_limits

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "30"}, 30),
        (503, {"retry-after": "Fri, 01 May 2026 12:02:00 GMT"}, 120),
        (403, {"retry-after": "60"}, 60),
        (200, {"retry-after": "30"}, None),
        (429, {}, None),
        # GitHub
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 600)}, 600),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 600)}, 600),
        (200, {"x-ratelimit-remaining": "1", "x-ratelimit-reset": str(EPOCH + 600)}, None),
        (403, {"x-ratelimit-remaining": "59", "x-ratelimit-reset": str(EPOCH + 600)}, None),
        # the drafts of RateLimit header fields
        (200, {"ratelimit-limit": "10", "ratelimit-remaining": "0", "ratelimit-reset": "7"}, 7),
        (429, {"ratelimit-reset": "7"}, 7),
        (200, {"ratelimit": '"default";r=0;t=30'}, 30),
        (200, {"ratelimit": '"burst";r=5;t=2, "day";r=0;t=3600'}, 3600),
        (200, {"ratelimit": '"burst";r=5;t=2'}, None),
        # some providers send milliseconds or a fraction
        (429, {"x-rate-limit-reset": str((EPOCH + 5) * 1000)}, 5),
        (429, {"x-ratelimit-reset": "1.5"}, 1.5),
        (429, {"retry-after": "soon", "x-ratelimit-reset": "9"}, 9),
        (429, {"x-ratelimit-reset": str(EPOCH - 60)}, 0),
        (429, {"x-ratelimit-reset": "tomorrow"}, None),
    ],
)
def test_a_provider_is_understood(status: int, headers: dict[str, str], seconds: float | None) -> None:
    assert rate_limits.wait(status, headers, NOW) == (None if seconds is None else timedelta(seconds=seconds))


@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["retry-after", "ratelimit", "ratelimit-reset", "x-ratelimit-reset", "x-ratelimit-remaining"]),
        st.one_of(st.text(max_size=20), st.integers(0, 10**20).map(str)),
    ),
)
def test_whatever_a_provider_says_is_a_wait_or_none(status: int, headers: dict[str, str]) -> None:
    said = rate_limits.wait(status, headers, NOW)
    assert said is None or said >= timedelta(0)
