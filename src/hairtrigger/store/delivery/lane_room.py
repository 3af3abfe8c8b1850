"""Compute in SQL how many deliveries of a lane may be claimed now, for the row `lane` at the time `:now`.

This number is called the room. It is the width of the lane minus the deliveries under way, but at most what the rate
limits still allow in the present second, hour and day. If `:now` is null, the time is that of the database's clock.
"""

from hairtrigger.domain.lane import STEP, STEPS

NOW = "coalesce(CAST(:now AS timestamptz), clock_timestamp())"
WIDTH = "least(lane.max_inflight, coalesce(lane.width, lane.max_inflight))"

_LENGTHS = {"second": "1 second", "hour": "1 hour", "day": "24 hours"}


def _began(unit: str) -> str:
    return f"date_trunc('{unit}', {NOW}, 'UTC')"


def used(unit: str) -> str:
    return f"CASE WHEN lane.used_at >= {_began(unit)} THEN lane.used_{unit} ELSE 0 END"


# `least` and `greatest` leave out what is null: a limit that is not set.
LEFT = "least({})".format(", ".join(f"lane.per_{unit} - {used(unit)}" for unit in _LENGTHS))
ROOM = f"greatest(0, least(CAST(floor({WIDTH}) AS int) - lane.inflight, {LEFT}))"
RESTS_UNTIL = "greatest({})".format(
    ", ".join(
        f"CASE WHEN lane.per_{unit} <= {used(unit)} THEN {_began(unit)} + interval '{length}' END"
        for unit, length in _LENGTHS.items()
    )
)
"""SQL for the time at which a lane whose rate limits are used up may go on. It is null for other lanes."""

ENTER = f"""
    inflight = lane.inflight + entering.count,
    used_at = greatest(lane.used_at, {NOW}),
    used_second = {used("second")} + entering.count,
    used_hour = {used("hour")} + entering.count,
    used_day = {used("day")} + entering.count
"""
"""The assignments of an UPDATE that counts deliveries into a lane. `entering.count` is their number."""

_STEP = f"least({STEP}, greatest(1, lane.max_inflight / {STEPS}.0), {WIDTH})"
_ROUND = f"CASE WHEN lane.narrowed_at IS NULL THEN {WIDTH} ELSE {_STEP} END"
_NARROWS = "leaving.failed_at > coalesce(lane.narrowed_at, '-infinity')"
_GROWS = f"""
    leaving.served > 0 AND 2 * lane.inflight >= {WIDTH}
    AND leaving.latency <= greatest(2 * coalesce(lane.latency, leaving.latency), lane.latency + 0.1, 0.1)
"""
LEAVE = f"""
    inflight = greatest(0, lane.inflight - leaving.count),
    width = CASE
        WHEN {_NARROWS} THEN greatest(1, {WIDTH} / 2)
        WHEN {_GROWS} THEN greatest(
            coalesce(lane.width, lane.max_inflight),
            least(lane.max_inflight, {WIDTH} + leaving.served * {_ROUND} / {WIDTH}))
        ELSE lane.width END,
    narrowed_at = CASE WHEN {_NARROWS} THEN leaving.ended_at ELSE lane.narrowed_at END,
    latency = CASE
        WHEN lane.latency < leaving.latency THEN lane.latency + (leaving.latency - lane.latency) / 100
        ELSE coalesce(leaving.latency, lane.latency) END
"""
"""The assignments of an UPDATE that counts deliveries out of a lane and sets its new width, after docs/adr/0027.

`leaving` has the fields of `Leaving`.
"""
