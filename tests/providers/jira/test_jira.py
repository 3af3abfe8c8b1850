from datetime import UTC, datetime

import pytest

from hairtrigger.providers.jira import local


@pytest.mark.parametrize(
    ("since", "zone", "text"),
    [
        (datetime(2026, 5, 1, 12, 34, 56, tzinfo=UTC), "UTC", "12:34"),
        (datetime(2026, 5, 1, 12, 34, 56, tzinfo=UTC), "America/New_York", "08:34"),
        # On 25 October 2026 the clocks of Berlin show 02:30 twice, at 00:30 and at 01:30 UTC.
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Berlin", "01:30"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "Europe/Berlin", "01:30"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=UTC), "Europe/Berlin", "03:30"),
    ],
)
def test_jql_names_a_time_of_the_users_zone_that_is_not_later(since: datetime, zone: str, text: str) -> None:
    assert f"{local(since, zone):%H:%M}" == text
