"""Delete what belongs to one user of an organisation's product: triggers with their webhooks, connections and links."""

from dataclasses import dataclass

from hairtrigger.domain.caller import Caller
from hairtrigger.platform.clock import Clock
from hairtrigger.services.setup.triggers import Triggers
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connections, external_users, triggers

_BATCH = 100


@dataclass(frozen=True)
class Gone:
    """The number of things that were deleted."""

    triggers: int
    connections: int


@dataclass(frozen=True, kw_only=True)
class ExternalUsers:
    store: Store
    clock: Clock
    triggers: Triggers

    async def delete(self, caller: Caller, external_user_id: str) -> Gone:
        """Delete all that is the user's, and return how much that was.

        Webhooks are removed at the providers first, as long as the connections are there, and are tried again later if
        that fails. A deletion that is cut off can be asked for again. Triggers of others that use a connection of the
        user stay, without a connection.
        """
        async with self.store.transaction() as tx:
            await external_users.forget_pending(tx, caller.org_id, external_user_id)
        gone = 0
        while True:
            async with self.store.transaction() as tx:
                batch = await triggers.of_external_user(tx, caller.org_id, external_user_id, _BATCH)
            for id_ in batch:
                await self.triggers.delete(caller, id_)
            gone += len(batch)
            if len(batch) < _BATCH:
                break
        now = self.clock.now()
        async with self.store.transaction() as tx:
            theirs = await connections.of_organization(tx, caller.org_id, external_user_id=external_user_id)
            for connection in theirs:
                await connections.remove(tx, caller.org_id, connection.id, now)
        return Gone(gone, len(theirs))
