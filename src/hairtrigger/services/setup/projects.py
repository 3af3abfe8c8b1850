"""Manage projects.

Each has a name, a target, and secrets that sign its deliveries and authenticate us at its target.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, Invalid, Issue
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.lane import NO_LIMITS, RateLimits
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.quotas import Limits, Quota
from hairtrigger.domain.target import AgentTarget, LogTarget, TargetConfig, WorkflowTarget, authorized
from hairtrigger.domain.target_secrets import opened, parted
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.shares import Tenant
from hairtrigger.platform.vault import new_signing_secret
from hairtrigger.services.secrets import Secrets
from hairtrigger.store import quotas
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.setup import projects, triggers
from hairtrigger.store.setup.projects import OrderBy, Project

# Names of a project's secrets.
SIGNING = "signing"
SIGNING_BEFORE = "signing_before"
SIGNING_BEFORE_UNTIL = "signing_before_until"
API_KEY = "api_key"


@dataclass(frozen=True, kw_only=True)
class Projects:
    store: Store
    clock: Clock
    secrets: Secrets
    check: Callable[[Tenant, str], Awaitable[str | None]]
    """Return why the URL can't be called, as far as the tenant may know that, or None if nothing is known against it.
    """
    limits: Limits = field(default_factory=Limits)

    async def create(
        self,
        caller: Caller,
        name: str,
        target: TargetConfig,
        max_inflight: int,
        api_key: str | None = None,
        order_by: OrderBy | None = None,
        rate_limits: RateLimits = NO_LIMITS,
    ) -> tuple[Project, str]:
        """Create a project, and return it with the secret that signs its deliveries, which is not shown again.

        Raise `Invalid` for an `api_key` beside another Authorization.
        """
        now = self.clock.now()
        project_id = f"proj_{new_id(now).hex}"
        signing = new_signing_secret()
        stored, held = parted(target, {SIGNING: signing, **_api_key(target, api_key)})
        project = Project(
            id=project_id,
            org_id=caller.org_id,
            name=name,
            target=stored,
            secrets=self.secrets.seal_for_project(project_id, held),
            created_at=now,
            updated_at=now,
            max_inflight=max_inflight,
            order_by=order_by,
            **vars(rate_limits),
        )
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits, Quota.PROJECTS):
            await projects.add(tx, project)
        return project, signing

    async def get(self, caller: Caller, project_id: str) -> Project:
        async with self.store.transaction() as tx:
            return await projects.existing(tx, caller.org_id, project_id)

    async def list(self, caller: Caller) -> list[Project]:
        async with self.store.transaction() as tx:
            return await projects.of_organization(tx, caller.org_id)

    async def update(
        self,
        caller: Caller,
        project_id: str,
        name: str | None,
        target: TargetConfig | None,
        max_inflight: int | None,
        api_key: str | None,
        order_by: OrderBy | Literal["unchanged"] | None = "unchanged",
        rate_limits: RateLimits | None = None,
    ) -> Project:
        """Change the given values, keep those that are None, and return the project.

        For `order_by`, None means no order.

        A workflow whose new target names no format keeps its format. Raise `Invalid` for an `api_key` beside another
        Authorization.
        """
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits):
            project = await projects.existing(tx, caller.org_id, project_id)
            held = self.secrets.of_project(project)
            before = opened(project.target, held)
            after = _in_its_format(target, before) if target else before
            if authorized(after):
                held.pop(API_KEY, None)
            stored, held = parted(after, {**held, **_api_key(after, api_key)})
            changed = replace(
                self._with(project, held),
                name=name or project.name,
                target=stored,
                max_inflight=max_inflight or project.max_inflight,
                order_by=project.order_by if order_by == "unchanged" else order_by,
                updated_at=self.clock.now(),
                **vars(rate_limits or project.rate_limits),
            )
            await projects.save(tx, changed)
        return changed

    async def warnings(self, caller: Caller, project_id: str, target: TargetConfig) -> Sequence[str]:
        """Return a sentence about each reason why the service can't call the target, as far as the caller may
        know it.
        """
        match target:
            case WorkflowTarget(url=url) | AgentTarget(base_url=url):
                why = await self.check(Tenant(str(caller.org_id), project_id), url)
                return [f"The target can't be called as things are. {why}"] if why else []
            case LogTarget():
                return []

    async def rotate_secret(self, caller: Caller, project_id: str, overlap: timedelta) -> str:
        """Make and return a new signing secret. During `overlap`, deliveries carry the signatures of both secrets."""
        now = self.clock.now()
        signing = new_signing_secret()
        async with self.store.transaction() as tx:
            project = await projects.existing(tx, caller.org_id, project_id)
            held = self.secrets.of_project(project)
            held |= {
                SIGNING: signing,
                SIGNING_BEFORE: held[SIGNING],
                SIGNING_BEFORE_UNTIL: (now + overlap).isoformat(),
            }
            await projects.save(tx, replace(self._with(project, held), updated_at=now))
        return signing

    async def delete(self, caller: Caller, project_id: str) -> None:
        """Delete a project and its triggers, but keep its events, deliveries and outcomes as long as others are kept.

        Raise `Conflict` while it has enabled triggers, because providers would keep their webhooks.
        """
        async with self.store.transaction() as tx:
            await projects.existing(tx, caller.org_id, project_id)
            enabled = [t for t in await triggers.of_project(tx, caller.org_id, project_id) if t.enabled]
            if enabled:
                raise Conflict(f"Disable the project's {len(enabled)} enabled triggers first.")
            now, why = self.clock.now(), f"The user {caller.id} deleted its project '{project_id}'."
            gone = [t.id for t in await triggers.of_project(tx, caller.org_id, project_id)]
            await projects.remove(tx, project_id)
            await outcomes.record(
                tx, *(Outcome(Kind.TRIGGER, Code.DELETED, now, caller.org_id, id_, why) for id_ in gone)
            )

    def _with(self, project: Project, held: Mapping[str, str]) -> Project:
        return replace(project, secrets=self.secrets.seal_for_project(project.id, held))


def _api_key(target: TargetConfig, api_key: str | None) -> dict[str, str]:
    if not api_key:
        return {}
    if authorized(target):
        raise Invalid(None, Issue(("api_key",), "The target has an Authorization of its own. Give only one of them."))
    return {API_KEY: api_key}


def _in_its_format(target: TargetConfig, before: TargetConfig) -> TargetConfig:
    match target, before:
        case WorkflowTarget(), WorkflowTarget() if not {"format", "template"} & target.model_fields_set:
            return target.model_copy(update={"format": before.format, "template": before.template})
        case _:
            return target
