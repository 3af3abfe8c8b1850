"""Define the settings of PostgreSQL sessions that the service needs, and check that they are in force.

They outrank the settings of the server, the database and the role.
"""

from collections.abc import Collection, Mapping

from hairtrigger.domain.errors import Unavailable
from hairtrigger.store.transaction import Session

# These are sent when a session starts and so outrank ALTER SYSTEM, ALTER DATABASE and ALTER ROLE. The client limits how
# long a statement takes. `default_transaction_read_only` is left as it is, because some hosts set it when the disk is
# nearly full.
SESSION: Mapping[str, str] = {
    "application_name": "hairtrigger",
    "jit": "off",
    "synchronous_commit": "on",  # a commit is on our disk, and on the disk of a synchronous standby
    "search_path": "public",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",  # the pool keeps its connections
    "idle_in_transaction_session_timeout": "60s",  # a process that has stopped must not hold its locks for ever
    "standard_conforming_strings": "on",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}

SINGLE_STATEMENTS: Mapping[str, str] = {"plan_cache_mode": "force_generic_plan"}
"""The session settings for single statements: each statement is planned once, for batches of any size."""

BY_INDEX: Mapping[str, str] = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
}
"""The session settings for statements on queue tables: their plans use indexes, even if made while a table is short."""

# Statements depend on these. A pooler may have dropped the parameters above, so they are checked.
_ACCEPTED: Mapping[str, Collection[str]] = {
    "synchronous_commit": ("on", "remote_apply"),
    "default_transaction_isolation": ("read committed",),
    "standard_conforming_strings": ("on",),
    "DateStyle": ("ISO, MDY", "ISO, DMY", "ISO, YMD"),
    "session_replication_role": ("origin",),  # otherwise foreign keys are not enforced; only superusers may change it
}
_IN_FORCE = """
    SELECT array_agg(current_setting(name) ORDER BY number) AS settings, current_schema() AS schema,
           CASE WHEN current_setting('server_version_num')::int >= 170000
                THEN set_config('transaction_timeout', '0', false) END
    FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, number)
"""

SAFEGUARDS = ("fsync", "full_page_writes")
_SERVER = """
    SELECT current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS standby,
           (SELECT array_agg(name) FROM unnest($1::text[]) AS name WHERE current_setting(name) <> 'on') AS off,
           (SELECT array_agg(oid::regclass::text) FROM pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'p')
            AND (relnamespace = to_regnamespace('public') OR oid = to_regclass('pgmq.q_dispatch'))) AS unlogged
"""


class DatabaseUnfit(Unavailable):
    """The service can't store anything right now; nothing was accepted. Try again."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason
        """Why the database can't be used, for the operator. Clients get the message, which does not say it."""


async def check_session(session: Session) -> None:
    """Raise `DatabaseUnfit` if a setting of a new session would change what statements do or promise.

    `transaction_timeout`, which can't be set at the start of a session, is switched off.
    """
    row = await session.fetchrow(_IN_FORCE, list(_ACCEPTED))
    assert row is not None
    for (name, accepted), value in zip(_ACCEPTED.items(), row["settings"], strict=True):
        if value not in accepted:
            needed = next(iter(accepted))
            raise DatabaseUnfit(
                f"Sessions have {name} = '{value}', where '{needed}' is needed and can't be asked for by a session. "
                f"Set it for the role: ALTER ROLE … SET {name} = '{needed}'"
            )
    if row["schema"] != "public":
        raise DatabaseUnfit(
            "Tables are kept in the schema 'public', which sessions don't use. The role needs USAGE and CREATE on it, "
            "and behind a pooler: ALTER ROLE … SET search_path = public"
        )


async def check_server(session: Session, without: Collection[str]) -> None:
    """Raise `DatabaseUnfit` if a crash of the server could lose commits, or if the database could not store every text.

    `without` names the safeguards (`SAFEGUARDS`) that the operator allows to be off.
    """
    row = await session.fetchrow(_SERVER, list(SAFEGUARDS))
    assert row is not None
    if row["encoding"] != "UTF8":
        raise DatabaseUnfit(
            f"The database's encoding is {row['encoding']}. Make one with ENCODING 'UTF8' TEMPLATE template0."
        )
    if off := lacking(row["off"], without):
        raise DatabaseUnfit(off)
    if row["unlogged"]:
        raise DatabaseUnfit(
            f"A crash would empty unlogged tables: {', '.join(row['unlogged'])}. ALTER TABLE … SET LOGGED"
        )


def lacking(off: Collection[str] | None, without: Collection[str]) -> str:
    """Return a text for the operator on the settings in `off` that may not be off, or an empty text if all may be.

    `without` names the settings that the operator allows to be off.
    """
    missed = [name for name in off or () if name not in without]
    if not missed:
        return ""
    return (
        f"The server has {' and '.join(missed)} off: what was answered with 2xx could be lost. Switch it on, "
        "or say with HAIRTRIGGER_DATABASE_WITHOUT that you do without."
    )
