"""Defines the limits of lanes. They say how many deliveries of a project may be under way at a time, and how many of
its attempts may begin in a second, an hour or a day.
"""

from dataclasses import dataclass

from hairtrigger.domain.target import AgentTarget, LogTarget, TargetConfig, WorkflowTarget

START = 10  # the width of a new lane
STEP = 20  # after it was narrowed, a lane grows by at most this many places while it serves as many as its width
STEPS = 10  # …and by at most its ceiling divided by this number, or by 1 if that is more


def default_ceiling(target: TargetConfig) -> int:
    """Return how many deliveries of a new project may be under way at a time if its user gives no number. It depends on
    the kind of target.
    """
    match target:
        case AgentTarget():
            return 20
        case WorkflowTarget() | LogTarget():
            return 200


@dataclass(frozen=True)
class RateLimits:
    """The greatest numbers of attempts of one project that may begin in a second, in an hour and in a day of UTC. None
    means any number.
    """

    per_second: int | None = None
    per_hour: int | None = None
    per_day: int | None = None


NO_LIMITS = RateLimits()
