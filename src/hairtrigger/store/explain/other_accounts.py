"""Count the requests that an app webhook received for accounts that a trigger does not listen to.

Only accounts of the trigger's organisation count: those that its other triggers listen to, and those that the provider
has named for its connections. Users learn nothing of the accounts of others.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from hairtrigger.domain.ids import day_of, first_id
from hairtrigger.domain.outcome import Code
from hairtrigger.store.explain.trigger_health import Condition
from hairtrigger.store.transaction import Transaction

_MOST = 1000  # outcomes, and events, that are looked at


@dataclass(frozen=True)
class OtherAccounts:
    """The accounts that a trigger listens to, and the number of requests for others, most first."""

    own: Sequence[str]
    requests: Sequence[tuple[str, int]]


# A request that several triggers take makes an event of each, all with the same key.
_BROUGHT = text(
    """
    SELECT account, count(DISTINCT key) FROM (
        SELECT project_trigger_id, key FROM event
        WHERE org_id = :org_id AND id >= :first AND id < :last AND day BETWEEN :first_day AND :last_day
          AND project_trigger_id <> :id
        ORDER BY id DESC LIMIT :most
    ) AS brought JOIN app_route USING (project_trigger_id)
    WHERE provider_id = :provider_id GROUP BY account
    """
)
_UNROUTED = text(
    f"""
    SELECT substr(key, length(:provider_id) + 2), sum(count) FROM (
        SELECT key, count FROM outcome
        WHERE project_trigger_id IS NULL AND org_id = :org_id AND code = '{Code.IGNORED_UNROUTED}'
          AND id >= :first AND id < :last AND day BETWEEN :first_day AND :last_day
          AND starts_with(key, :provider_id || '/')
        ORDER BY id DESC LIMIT :most
    ) AS unrouted GROUP BY 1
    """  # noqa: S608 all of it our own text
)
_OWN = text("SELECT account FROM app_route WHERE project_trigger_id = :id ORDER BY account")


async def of_trigger(tx: Transaction, condition: Condition, since: datetime, until: datetime) -> OtherAccounts:
    """Return the trigger's accounts, and the requests for its organisation's other accounts from `since` on and before
    `until`.

    Only the last 1000 events and the last 1000 outcomes in that time are counted.
    """
    first, last = first_id(since), first_id(until)
    own = list((await tx.connection.execute(_OWN, {"id": condition.id})).scalars())
    window = {"first": first, "last": last, "first_day": day_of(first), "last_day": day_of(last), "most": _MOST}
    of_org = {"org_id": condition.org_id, "provider_id": condition.provider_id, **window}
    found: Counter[str] = Counter()
    for account, count in await tx.connection.execute(_BROUGHT, {**of_org, "id": condition.id}):
        found[account] += count
    for account, count in await tx.connection.execute(_UNROUTED, of_org):
        found[account] += int(count)
    return OtherAccounts(own, [one for one in found.most_common() if one[0] not in own])
