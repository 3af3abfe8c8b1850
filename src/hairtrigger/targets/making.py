"""Makes targets from the configurations of projects and the secrets for calling them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from pydantic_core import to_json

from hairtrigger.domain.target import AgentTarget, LogTarget, Target, WorkflowTarget
from hairtrigger.domain.target_secrets import opened
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.egress import Egress
from hairtrigger.platform.remembered import Remembered
from hairtrigger.platform.shares import Tenant
from hairtrigger.services.secrets import Secrets
from hairtrigger.services.setup.projects import API_KEY, SIGNING, SIGNING_BEFORE, SIGNING_BEFORE_UNTIL
from hairtrigger.store.setup.projects import Project
from hairtrigger.targets.agent import Agent
from hairtrigger.targets.log import Log
from hairtrigger.targets.workflow import Workflow

_MOST_REMEMBERED = 10_000


@dataclass(frozen=True)
class _Made:
    """A target, and the project from which it was made."""

    target: Target
    project: Project
    until: datetime | None
    """The time at which the older of two signing secrets ends, so that the target is made anew. None if there is only
    one secret.
    """


def target_maker(egress: Egress, clock: Clock, secrets: Secrets) -> Callable[[Project], Target]:
    """Return a function that returns the target of a project.

    A target is made once and kept until its project changes or a signing secret ends, because opening the secrets and
    reading the configuration takes longer than using them.
    """
    remembered: Remembered[str, _Made] = Remembered(_MOST_REMEMBERED)

    def target_of(project: Project) -> Target:
        now = clock.now()
        made = remembered.get(project.id)
        if made is None or made.project != project or (made.until and made.until <= now):
            made = _made(project, now)
            remembered.keep(project.id, made, _size(project), project.org_id)
        return made.target

    def _made(project: Project, now: datetime) -> _Made:
        held = secrets.of_project(project)
        signing, until = _signing(held, now)
        door = egress.of(Tenant(str(project.org_id), project.id))
        match opened(project.target, held):
            case WorkflowTarget() as config:
                return _Made(Workflow(config, door, clock, signing, held.get(API_KEY)), project, until)
            case AgentTarget() as config:
                return _Made(Agent(config, door, clock, held.get(API_KEY)), project, None)
            case LogTarget():
                return _Made(Log(), project, None)
            case other:
                assert_never(other)

    return target_of


def _size(project: Project) -> int:
    """Return about how many bytes of memory a project and its target take. The configuration is held twice."""
    return 4096 + 2 * len(to_json(project.target)) + len(project.secrets)


def _signing(held: dict[str, str], now: datetime) -> tuple[list[str], datetime | None]:
    """Return the live signing secrets, the newest first, and the time at which the older one ends.

    During a rotation there are two secrets. Otherwise there is one, and the time is None.
    """
    before = held.get(SIGNING_BEFORE)
    until = datetime.fromisoformat(held[SIGNING_BEFORE_UNTIL]) if before else None
    if before and until and until > now:
        return [held[SIGNING], before], until
    return [held[SIGNING]], None
