"""Remove webhooks at their providers, and repeat failed removals."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from hairtrigger.domain.errors import HairtriggerError
from hairtrigger.domain.operational import Notice, OperationalType
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.retry import delay_after_failed_removal
from hairtrigger.domain.webhook_address import webhook_url
from hairtrigger.kit.trigger import Webhook
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.shares import Tenant
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.provider_calls import Credentials, ProviderCalls
from hairtrigger.services.secrets import Secrets
from hairtrigger.store import notices
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.setup import connections, subscriptions, triggers
from hairtrigger.store.setup.triggers import Removal

log = structlog.get_logger()

_HOLD = timedelta(minutes=2)
_MOST_AT_ONCE = 10


@dataclass(frozen=True, kw_only=True)
class WebhookRemovals:
    store: Store
    clock: Clock
    catalogue: Catalogue
    calls: ProviderCalls
    secrets: Secrets
    public_url: str

    async def try_now(self, trigger_id: UUID) -> None:
        """Remove the trigger's webhook now, if its removal is due, while the user waits.

        A removal that fails is repeated later.
        """
        async with self.store.transaction() as tx:
            claimed = await triggers.claim_removal(tx, self.clock.now(), _HOLD, trigger_id)
        if claimed:
            await self._remove(claimed)

    async def run_due(self) -> int:
        """Carry out due removals, at most `_MOST_AT_ONCE`, and return how many were tried.

        They are claimed one at a time, so that no lease runs out while others are tried.
        """
        for done in range(_MOST_AT_ONCE):
            async with self.store.transaction() as tx:
                claimed = await triggers.claim_removal(tx, self.clock.now(), _HOLD)
            if not claimed:
                return done
            await self._remove(claimed)
        return _MOST_AT_ONCE

    async def _remove(self, removal: Removal) -> None:
        try:
            await self._call(removal)
        except HairtriggerError as error:
            await self._postpone(removal, error.message)
        except Exception:
            log.exception("removal broke", project_trigger_id=str(removal.project_trigger_id))
            await self._postpone(removal, "The removal broke inside the service; see its log.")
        else:
            await self._done(removal, Code.REMOVED, "The webhook was removed at the provider.")

    async def _call(self, removal: Removal) -> None:
        provider = self.catalogue.native(removal.provider_id)
        definition = provider.trigger(removal.trigger_id) if provider else None
        if not provider or not isinstance(definition, Webhook) or not definition.subscription:
            return
        params = self.secrets.params(removal.project_trigger_id, removal.config)
        held, tenant = await self._credentials(removal), Tenant(str(removal.org_id))
        question = self.calls.question(provider, definition, tenant, params, held, remote=removal.remote)
        await definition.subscription.remove(question, webhook_url(self.public_url, removal.project_trigger_id))

    async def _credentials(self, removal: Removal) -> Credentials:
        """Return the credentials of the connection as they are now, or the copy if the connection was deleted."""
        if removal.connection_id is not None:
            async with self.store.transaction() as tx:
                connection = await connections.get(tx, removal.org_id, removal.connection_id)
            if connection and connection.provider_id == removal.provider_id:
                return self.calls.credentials_in(connection)
        return Credentials(self.secrets.of_removal(removal), removal.way)

    async def _postpone(self, removal: Removal, reason: str) -> None:
        wait = delay_after_failed_removal(removal.failures)
        if wait is None:
            await self._done(removal, Code.FAILED, f"The webhook could not be removed at the provider: {reason}")
            return
        async with self.store.transaction() as tx:
            await triggers.postpone_removal(tx, removal, self.clock.now() + wait)

    async def _done(self, removal: Removal, code: Code, detail: str) -> None:
        async with self.store.transaction() as tx:
            await triggers.cancel_removal(tx, removal)
            now = self.clock.now()
            # An attempt to make the webhook of an enabled trigger again may have left it to be removed.
            await subscriptions.due_now(tx, triggers.is_one_of([removal.project_trigger_id]), now)
            await outcomes.record(
                tx, Outcome(Kind.REGISTRATION, code, now, removal.org_id, removal.project_trigger_id, detail)
            )
            if code is Code.FAILED:
                address = webhook_url(self.public_url, removal.project_trigger_id)
                given_up = Notice(
                    removal.org_id,
                    OperationalType.WEBHOOK_REMOVAL_FAILED,
                    str(removal.project_trigger_id),
                    now,
                    f"{detail} Remove the webhook with this address there: {address}",
                    removal.project_trigger_id,
                    details={"provider_id": removal.provider_id},
                )
                await notices.note(tx, given_up)
