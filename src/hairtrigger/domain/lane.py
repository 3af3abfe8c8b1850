"""The numbers of lanes: how many deliveries of a project may be under way, and how many may be sent in a time."""

from dataclasses import dataclass

from hairtrigger.domain.target import AgentTarget, LogTarget, TargetConfig, WorkflowTarget

START = 10  # the width of a new lane
STEP = 20  # a lane grows by so much, at most, while as many deliveries end as are under way
STEPS = 10  # …and at most by this part of its ceiling


def default_ceiling(target: TargetConfig) -> int:
    """Return how many deliveries of a new project may be under way, if the user does not say it."""
    match target:
        case AgentTarget():
            return 20
        case WorkflowTarget() | LogTarget():
            return 200


@dataclass(frozen=True)
class RateLimits:
    """The number of attempts of a project that may begin in a second, an hour and a day of UTC. None: any number."""

    per_second: int | None = None
    per_hour: int | None = None
    per_day: int | None = None


NO_LIMITS = RateLimits()
