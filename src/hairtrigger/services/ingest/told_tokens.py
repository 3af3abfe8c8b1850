"""Keep secrets that a sender tells while it asks a webhook for proof, such as Notion's verification token.

Every sender that knows the address can tell one. So the last few are kept for some days, and shown with their times.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.outcome import TOLD_A_TOKEN
from hairtrigger.services.secrets import Secrets
from hairtrigger.store.database import Store
from hairtrigger.store.events import told_tokens
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.triggers import ProjectTrigger

KEPT = timedelta(days=7)


def hint(trigger_id: UUID) -> str:
    """Return the sentences that say where the token is shown."""
    return (
        f"{TOLD_A_TOKEN}, which is to be entered there, or is the trigger's signing secret. It is shown by "
        f"GET /v1/project-triggers/{trigger_id}/tokens, and by the command: hairtrigger triggers tokens {trigger_id}"
    )


@dataclass(frozen=True)
class Told:
    token: str = field(repr=False)
    told_at: datetime


@dataclass(frozen=True)
class ToldTokens:
    store: Store
    secrets: Secrets

    async def keep(self, trigger: ProjectTrigger, token: str, now: datetime) -> None:
        sealed = self.secrets.seal_told(trigger.id, token)
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        async with self.store.transaction() as tx:
            if await triggers.get(tx, trigger.org_id, trigger.id, for_update=True):
                await told_tokens.keep(tx, told_tokens.ToldToken(trigger.id, digest, sealed, now))

    async def of_trigger(self, caller: Caller, trigger_id: UUID) -> Sequence[Told]:
        """Return the tokens that senders sent to the trigger's webhook in a handshake, newest first.

        Raises `NoSuchTrigger` for a trigger of another organisation.
        """
        async with self.store.transaction() as tx:
            await triggers.existing(tx, caller.org_id, trigger_id)
            found = await told_tokens.of_trigger(tx, trigger_id)
        return [Told(self.secrets.told(trigger_id, one.token), one.told_at) for one in found]
