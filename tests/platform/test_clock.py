from datetime import UTC, datetime, timedelta

from hairtrigger.platform.clock import Clock, SystemClock
from tests.support.clock import ManualClock


def test_the_system_clock_tells_aware_utc_time() -> None:
    clock: Clock = SystemClock()

    assert clock.now().tzinfo is UTC
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)


def test_the_manual_clock_moves_only_when_told() -> None:
    start = datetime(2026, 3, 29, 1, 59, tzinfo=UTC)
    manual = ManualClock(start)
    clock: Clock = manual

    manual.advance(timedelta(minutes=2))

    assert clock.now() == datetime(2026, 3, 29, 2, 1, tzinfo=UTC)
    assert clock.now() == clock.now()
