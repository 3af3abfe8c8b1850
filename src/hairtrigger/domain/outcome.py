"""The closed list of how a request, a tick or a poll can end. Deliveries have `domain/target.py`."""

from enum import StrEnum


class Kind(StrEnum):
    """What was going on when the outcome was recorded."""

    WEBHOOK = "webhook"
    POLL = "poll"
    SCHEDULE = "schedule"
    REGISTRATION = "registration"
    TARGET = "target"


class Code(StrEnum):
    """How it ended. A code is never removed: stored history refers to it."""

    ACCEPTED = "accepted"  # at least one new event was stored
    DUPLICATE = "duplicate"  # every event of it was already there
    EMPTY = "empty"  # a poll found nothing new
    BASELINE = "baseline"  # the first poll: it set the cursor and emitted nothing
    HANDSHAKE = "handshake"  # the provider asked who we are and was answered
    IGNORED_DISABLED = "ignored_disabled"  # the trigger is disabled
    IGNORED_EVENT = "ignored_event"  # authentic, but not what the trigger listens for
    IGNORED_UNROUTED = "ignored_unrouted"  # authentic, but no trigger listens to this account
    REJECTED = "rejected"  # the signature or token is missing or wrong
    MALFORMED = "malformed"  # authentic, but not readable as the provider's format
    FAILED = "failed"  # a poll or registration failed; the cursor stays
    CREDENTIALS_REFUSED = "credentials_refused"  # the provider no longer accepts the connection
    RATE_LIMITED = "rate_limited"  # the provider asked us to come back later
    STALE = "stale"  # the result came after the trigger was edited or claimed again; nothing was stored
    MISSED = "missed"  # a scheduled time passed while the service was down and its policy is to skip
    REGISTERED = "registered"
    REMOVED = "removed"
    TARGET_GONE = "target_gone"  # the target answered 410, so the trigger was disabled
