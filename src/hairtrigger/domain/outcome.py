"""Three closed lists: how requests, polls, firings and changes end (`Code`), the status of deliveries (`Standing`), and
why attempts fail (`Failure`).

`docs/outcomes.md` is generated from these lists, and a test checks that every entry can be explained.
"""

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """What was going on when the outcome was recorded."""

    WEBHOOK = "webhook"
    POLL = "poll"
    SCHEDULE = "schedule"
    REGISTRATION = "registration"
    TARGET = "target"
    TRIGGER = "trigger"
    WATCHDOG = "watchdog"


class Code(StrEnum):
    """How it ended. A code is never removed: stored history refers to it."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    EMPTY = "empty"
    BASELINE = "baseline"
    HANDSHAKE = "handshake"
    IGNORED_DISABLED = "ignored_disabled"
    IGNORED_EVENT = "ignored_event"
    IGNORED_UNROUTED = "ignored_unrouted"
    REJECTED = "rejected"
    MALFORMED = "malformed"
    UNKNOWN_ADDRESS = "unknown_address"
    TOO_LARGE = "too_large"
    INCOMPLETE = "incomplete"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    PARSE_KILLED = "parse_killed"
    BROKEN = "broken"
    CUT_OFF = "cut_off"
    WORKER_LOST = "worker_lost"
    CREDENTIALS_REFUSED = "credentials_refused"
    RATE_LIMITED = "rate_limited"
    STALE = "stale"
    MISSED = "missed"
    REGISTERED = "registered"
    REMOVED = "removed"
    TARGET_GONE = "target_gone"
    ENABLED = "enabled"
    DISABLED = "disabled"
    FINISHED = "finished"
    CHANGED = "changed"
    STALLED = "stalled"
    RECOVERED = "recovered"


# The words that follow "the request", "the poll", "the schedule" …; an outcome's detail adds the rest.
MEANING: Mapping[Code, str] = {
    Code.ACCEPTED: "brought something new",
    Code.DUPLICATE: "brought only what was already stored",
    Code.EMPTY: "found nothing new",
    Code.BASELINE: "was the first: what is there already counts as seen, and no event was made of it",
    Code.HANDSHAKE: "was the provider's question who we are, and was answered",
    Code.IGNORED_DISABLED: "was ignored, because the trigger was disabled",
    Code.IGNORED_EVENT: "was authentic, but not what the trigger listens for",
    Code.IGNORED_UNROUTED: "was authentic, but no enabled trigger listens to its account",
    Code.REJECTED: "was refused: its signature or token is missing or wrong",
    Code.MALFORMED: "was refused: it was signed correctly, but is not readable as the provider's format",
    Code.UNKNOWN_ADDRESS: "was refused: no trigger has this address",
    Code.TOO_LARGE: "was refused: its body is larger than this service accepts",
    Code.INCOMPLETE: "ended before it was complete, so nothing of it was stored",
    Code.UNAVAILABLE: "was refused, because nothing could be stored at that moment; senders try again",
    Code.FAILED: "failed",
    Code.TIMED_OUT: "took too long and was given up; how far it had come before is kept",
    Code.PARSE_KILLED: "was ended because reading the answer takes more than it may",
    Code.BROKEN: "broke inside the service; its log says more",
    Code.CUT_OFF: "was cut off: the process that ran it stopped, died, stood still or lost its database",
    Code.WORKER_LOST: "failed: the process that ran its code ended twice, the second time while it ran this code alone",
    Code.CREDENTIALS_REFUSED: "failed: the provider no longer accepts the connection's credentials",
    Code.RATE_LIMITED: "was turned away: the provider asked to come back later",
    Code.STALE: "came to nothing, because the trigger was changed or claimed by another worker meanwhile",
    Code.MISSED: "did not fire: its time passed while nobody was there to see it, and its policy is to skip",
    Code.REGISTERED: "was set up at the provider",
    Code.REMOVED: "was taken down",
    Code.TARGET_GONE: "answered 410 Gone, so the trigger was disabled",
    Code.ENABLED: "was enabled",
    Code.DISABLED: "was disabled",
    Code.FINISHED: "was disabled at the end of its schedule",
    Code.CHANGED: "was changed",
    Code.STALLED: "found that the trigger is overdue and nobody works on it",
    Code.RECOVERED: "found that the trigger is no longer overdue",
}


class Standing(StrEnum):
    """The status of a delivery."""

    PENDING = "pending"
    WAITING = "waiting"
    SUSPENDED = "suspended"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    DEAD = "dead"


STANDING: Mapping[Standing, str] = {
    Standing.PENDING: "is on the queue, or under way",
    Standing.WAITING: "waits until fewer deliveries of its project are under way, or those before it in order end",
    Standing.SUSPENDED: "is held back, because its project or trigger is paused",
    Standing.RETRYING: "failed, and is tried again",
    Standing.DELIVERED: "was delivered",
    Standing.DEAD: "is a dead letter: nothing more is tried until it is replayed",
}


class Failure(StrEnum):
    """Why an attempt failed."""

    STATUS = "status"
    TIMEOUT = "timeout"
    TLS = "tls"
    UNREADABLE = "unreadable"
    UNSENDABLE = "unsendable"
    TOO_LONG = "too_long"
    BROKEN = "broken"
    UNREACHABLE = "unreachable"
    # Users see these three as `unreachable`: the user that chose the URL must not be able to map our network.
    DNS = "dns"
    REFUSED_ADDRESS = "refused_address"
    CONNECT = "connect"

    @property
    def shown(self) -> "Failure":
        return Failure.UNREACHABLE if self in {Failure.DNS, Failure.REFUSED_ADDRESS, Failure.CONNECT} else self


FAILURE: Mapping[Failure, str] = {
    Failure.STATUS: "the target answered with an error",
    Failure.TIMEOUT: "the target did not answer in time",
    Failure.TLS: "no secure connection to the target could be made",
    Failure.UNREADABLE: "what the target answered could not be read",
    Failure.UNSENDABLE: "the target's address or headers can't be called",
    Failure.TOO_LONG: "the template makes a message of the event that is too long to be sent",
    Failure.BROKEN: "the attempt broke inside the service, which is no fault of the target; the log says more",
    Failure.UNREACHABLE: "the target could not be reached",
    Failure.DNS: "the target's name leads to no address",
    Failure.REFUSED_ADDRESS: "the target's address is one that this service does not call",
    Failure.CONNECT: "nobody took the connection at the target's address",
}
