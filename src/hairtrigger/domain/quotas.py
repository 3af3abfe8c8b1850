"""Defines quotas, which limit how much an organisation may store, and how much work it may cause on one day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from hairtrigger.domain.errors import Conflict, RateLimited, Unavailable
from hairtrigger.domain.outcome import Code

GIBIBYTE = 1024**3
_ROOM_AGAIN = timedelta(minutes=1)


class Quota(StrEnum):
    """A quota, which is the most that an organisation may store, or may cause on one day."""

    counted: str  # the words that follow "of 1000 …"
    way_out: str

    # The defaults are for mypy, which reads the lookup `Quota("projects")` as a call of this method.
    def __new__(cls, value: str, counted: str = "", way_out: str = "") -> Self:
        quota = str.__new__(cls, value)
        quota._value_ = value
        quota.counted, quota.way_out = counted, way_out
        return quota

    PROJECTS = "projects", "projects", "Delete one that is not used any more."
    PROJECT_TRIGGERS = (
        "project_triggers",
        "project triggers, with those deleted ones whose webhooks are still to be removed at their providers",
        "Delete one that is not used any more.",
    )
    CONNECTIONS = "connections", "connections", "Delete one that is not used any more."
    SECRETS_PER_CONNECTION = "secrets_per_connection", "secrets in one connection", "Store fewer in this connection."
    API_KEYS = "api_keys", "API keys", "Delete one that is not used any more, such as an expired one."
    INTEGRATIONS = "integrations", "integrations", "Delete what is not used any more."
    INTEGRATION_TRIGGERS = (
        "integration_triggers",
        "triggers of all integrations",
        "Delete one that is not used any more.",
    )
    INTEGRATION_ACTIONS = (
        "integration_actions",
        "actions of all integrations",
        "Delete one that is not used any more.",
    )
    ALERT_CHANNELS = "alert_channels", "alert channels", "Delete one that is not used any more."
    RUNNING_REPLAYS = "running_replays", "running replays of many events", "Wait until one has ended, or cancel one."
    IDEMPOTENCY_KEYS = (
        "idempotency_keys",
        "answers that are kept for requests with an Idempotency-Key",
        "Each is kept for a day. Wait, or send the request without the header.",
    )
    STORED_BYTES = (
        "stored_bytes",
        "stored bytes: configuration, events, attempts and outcomes",
        "Delete configuration with large values, or wait until old events are dropped.",
    )
    EVENTS_A_DAY = "events_a_day", "new events on one day (UTC)", "The count begins again at midnight UTC."
    ATTEMPTS_A_DAY = (
        "attempts_a_day",
        "attempts of deliveries on one day (UTC)",
        "Deliveries that are left are kept, and go on at midnight UTC.",
    )


@dataclass(frozen=True)
class Limits:
    """The limit of each quota, which is the same for every organisation."""

    projects: int = 1_000
    project_triggers: int = 10_000
    connections: int = 10_000
    secrets_per_connection: int = 1_000
    api_keys: int = 1_000
    integrations: int = 1_000
    integration_triggers: int = 5_000
    integration_actions: int = 5_000
    alert_channels: int = 20
    running_replays: int = 20
    idempotency_keys: int = 20_000
    stored_bytes: int = 20 * GIBIBYTE
    events_a_day: int = 10_000_000
    attempts_a_day: int = 20_000_000

    def of(self, quota: Quota) -> int:
        limit: int = getattr(self, quota)
        return limit


@dataclass(frozen=True)
class Use:
    """The use of a quota by an organisation. The count begins again at `resets_at`, or never if that is None."""

    quota: Quota
    limit: int
    used: int | None  # None: it is counted for each connection, and not for the organisation
    resets_at: datetime | None = None

    def __str__(self) -> str:
        said = f"The quota '{self.quota}' allows {self.limit} {self.quota.counted}; {self.used} are used."
        return f"{said} {self.quota.way_out}"


class QuotaFull(Conflict):
    """The organisation stores as much as a quota allows."""

    def __init__(self, use: Use) -> None:
        super().__init__(str(use))
        self.use = use


class QuotaSpent(RateLimited):
    """The organisation has used up a quota for now. The request may be repeated after `retry_after`. `since` is when
    refusals began, if that is known.
    """

    def __init__(self, use: Use, retry_after: timedelta, since: datetime | None = None) -> None:
        super().__init__(str(use), retry_after=retry_after)
        self.use = use
        self.since = since


class DiskFull(Unavailable):
    """The service's disk is nearly full, so no new event is taken. What is stored is delivered. Try again later."""

    def __init__(self, message: str | None = None, *, since: datetime | None = None) -> None:
        super().__init__(message, retry_after=_ROOM_AGAIN)
        self.since = since


Refusal = QuotaSpent | DiskFull
"""The reason why no new event of an organisation is taken for now. `since` is when this began, if that is known."""

Refuses = Callable[[UUID], Refusal | None]


def nothing_refused(_: UUID) -> None:
    """Return None, because no event of any organisation is refused."""


def begins(refusal: Refusal, due: datetime, every: timedelta) -> bool:
    """Return whether this is the first time that periodic work meets this refusal since the refusal began. Return true
    if it is not known when the refusal began.

    The work comes round each `every` and was due at `due`. Only the first refusal leaves an outcome, because outcomes
    must not fill a disk that is full already.
    """
    return refusal.since is None or due - every <= refusal.since


def code_of(refusal: Refusal) -> Code:
    match refusal:
        case QuotaSpent():
            return Code.OVER_QUOTA
        case DiskFull():
            return Code.DISK_FULL
