"""Which target a project's configuration means, with the secrets it is called with."""

from collections.abc import Callable
from datetime import datetime
from typing import assert_never

from pydantic import TypeAdapter

from hairtrigger.domain.target import AgentTarget, LogTarget, Target, TargetConfig, WorkflowTarget
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.egress import Egress
from hairtrigger.services.projects import API_KEY, SIGNING, SIGNING_BEFORE, SIGNING_BEFORE_UNTIL
from hairtrigger.services.secrets import Secrets
from hairtrigger.store.projects import Project
from hairtrigger.targets.agent import Agent
from hairtrigger.targets.log import Log
from hairtrigger.targets.workflow import Workflow

_config: TypeAdapter[TargetConfig] = TypeAdapter(TargetConfig)


def target_maker(egress: Egress, clock: Clock, secrets: Secrets) -> Callable[[Project], Target]:
    def target_of(project: Project) -> Target:
        held = secrets.of_project(project)
        match _config.validate_python(project.target):
            case WorkflowTarget() as config:
                return Workflow(config, egress, clock, _signing(held, clock.now()), held.get(API_KEY))
            case AgentTarget() as config:
                return Agent(config, egress, clock, held.get(API_KEY))
            case LogTarget():
                return Log()
            case other:
                assert_never(other)

    return target_of


def _signing(held: dict[str, str], now: datetime) -> list[str]:
    """The current secret, and during a rotation also the one before."""
    before = held.get(SIGNING_BEFORE)
    if before and datetime.fromisoformat(held[SIGNING_BEFORE_UNTIL]) > now:
        return [held[SIGNING], before]
    return [held[SIGNING]]
