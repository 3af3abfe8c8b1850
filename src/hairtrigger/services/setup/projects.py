"""Projects: each has a name, a target and secrets, which sign deliveries and authenticate us at an agent."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.target import TargetConfig
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.vault import new_signing_secret
from hairtrigger.services.secrets import Secrets
from hairtrigger.store.database import Store
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

    async def create(
        self,
        caller: Caller,
        name: str,
        target: TargetConfig,
        max_inflight: int,
        api_key: str | None = None,
        order_by: OrderBy | None = None,
    ) -> tuple[Project, str]:
        """Return the new project and the secret that signs its deliveries, which is not shown again."""
        now = self.clock.now()
        project_id = f"proj_{new_id(now).hex}"
        signing = new_signing_secret()
        held = {SIGNING: signing, **({API_KEY: api_key} if api_key else {})}
        project = Project(
            id=project_id,
            org_id=caller.org_id,
            name=name,
            target=target.model_dump(mode="json"),
            secrets=self.secrets.seal_for_project(project_id, held),
            created_at=now,
            updated_at=now,
            max_inflight=max_inflight,
            order_by=order_by,
        )
        async with self.store.transaction() as tx:
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
    ) -> Project:
        """Change the given values and keep those that are None. For `order_by`, None means no order."""
        async with self.store.transaction() as tx:
            project = await projects.existing(tx, caller.org_id, project_id)
            changed = replace(
                project,
                name=name or project.name,
                target=target.model_dump(mode="json") if target else project.target,
                max_inflight=max_inflight or project.max_inflight,
                order_by=project.order_by if order_by == "unchanged" else order_by,
                updated_at=self.clock.now(),
            )
            if api_key:
                changed = self._with(changed, {**self.secrets.of_project(project), API_KEY: api_key})
            await projects.save(tx, changed)
        return changed

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
        """Delete a project. Raise `Conflict` while it has enabled triggers: providers would keep their webhooks."""
        async with self.store.transaction() as tx:
            await projects.existing(tx, caller.org_id, project_id)
            enabled = [t for t in await triggers.of_project(tx, caller.org_id, project_id) if t.enabled]
            if enabled:
                raise Conflict(f"Disable the project's {len(enabled)} enabled triggers first.")
            await projects.remove(tx, project_id)

    def _with(self, project: Project, held: Mapping[str, str]) -> Project:
        return replace(project, secrets=self.secrets.seal_for_project(project.id, held))
