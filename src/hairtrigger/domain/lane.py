"""The limits of lanes: how many deliveries of a project may be under way at a time, and how many attempts may begin in
a second, an hour or a day.
"""

from dataclasses import dataclass

from hairtrigger.domain.target import AgentTarget, LogTarget, TargetConfig, WorkflowTarget

START = 10  # the width of a new lane
STEP = 20  # once it was narrowed, a lane grows by at most so much while as many deliveries are served as its width
STEPS = 10  # …and by at most its ceiling divided by this, or by 1 if that is more


def default_ceiling(target: TargetConfig) -> int:
    """Return how many deliveries of a new project may be under way at a time if its user gives no number."""
    match target:
        case AgentTarget():
            return 20
        case WorkflowTarget() | LogTarget():
            return 200


@dataclass(frozen=True)
class RateLimits:
    """The numbers of attempts of a project that may begin in a second, an hour and a day of UTC. None: any number."""

    per_second: int | None = None
    per_hour: int | None = None
    per_day: int | None = None


NO_LIMITS = RateLimits()
