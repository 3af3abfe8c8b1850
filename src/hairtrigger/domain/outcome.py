"""Defines three closed lists: how requests, polls, firings and changes end (`Code`), the status of a delivery
(`DeliveryStatus`), and why attempts fail (`Failure`).

`docs/outcomes.md` is generated from these lists, and a test checks that every entry can be explained.
"""

from collections.abc import Mapping
from enum import Flag, StrEnum, auto
from typing import Literal, Self


class Kind(StrEnum):
    """The kind of work whose outcome is recorded."""

    WEBHOOK = "webhook"
    POLL = "poll"
    LISTEN = "listen"
    SWEEP = "sweep"
    SCHEDULE = "schedule"
    REGISTRATION = "registration"
    TARGET = "target"
    TRIGGER = "trigger"
    WATCHDOG = "watchdog"


class Trait(Flag):
    """A property of a code, by which the service decides how to treat and explain an outcome with that code."""

    NONE = 0
    FAILURE = auto()  # a poll that ends so has failed, and the next one waits longer
    DISABLES = auto()  # the trigger is disabled from then on
    WHILE_DISABLED = auto()  # only a disabled trigger leaves it
    ALWAYS = auto()  # it is left whether the trigger is enabled or not, also if the trigger was not looked up
    ROUTINE = auto()  # it is no reason why an event is missing
    SELF_EXPLANATORY = auto()  # its detail says the same as its meaning, in other words


class Code(StrEnum):
    """The way in which a request, poll, firing or change of a trigger ended. A code is never removed, because stored
    outcomes refer to it.
    """

    meaning: str  # the words that follow "the request", "the poll", "the schedule" …; an outcome's detail adds the rest
    traits: Trait

    # The defaults are for mypy, which reads the lookup `Code("accepted")` as a call of this method.
    def __new__(cls, value: str, meaning: str = "", traits: Trait = Trait.NONE) -> Self:
        code = str.__new__(cls, value)
        code._value_ = value
        code.meaning, code.traits = meaning, traits
        return code

    ACCEPTED = "accepted", "brought something new", Trait.ROUTINE
    DUPLICATE = "duplicate", "brought only what was already stored"
    ITEMS_REFUSED = "items_refused", "refused items that cannot be told apart, and went on with the others"
    EMPTY = "empty", "found nothing new", Trait.ROUTINE
    RECOVERED_EVENTS = "recovered_events", "found what the provider's requests had not brought"
    BASELINE = (
        "baseline",
        "was the first: what is there already counts as seen, and no event was made of it",
        Trait.ROUTINE,
    )
    HANDSHAKE = (
        "handshake",
        "was the provider's question who we are, and was answered",
        Trait.ROUTINE | Trait.SELF_EXPLANATORY,
    )
    IGNORED_DISABLED = (
        "ignored_disabled",
        "was ignored, because the trigger was disabled",
        Trait.WHILE_DISABLED | Trait.SELF_EXPLANATORY,
    )
    IGNORED_EVENT = "ignored_event", "was authentic, but not what the trigger listens for"
    IGNORED_UNROUTED = "ignored_unrouted", "was authentic, but no enabled trigger listens to its account"
    IGNORED_LOOP = (
        "ignored_loop",
        "was ignored: it came from a delivery of this service that led back to it again and again",
    )
    REJECTED = "rejected", "was refused: its signature or token is missing or wrong"
    MALFORMED = "malformed", "was refused: it was authentic, but is not readable as the provider's format"
    WRONG_METHOD = "wrong_method", "was refused: its method is not one that the trigger takes events with"
    UNKNOWN_ADDRESS = "unknown_address", "was refused: no trigger has this address", Trait.ALWAYS
    TOO_LARGE = "too_large", "was refused: its body is larger than this service accepts", Trait.ALWAYS
    INCOMPLETE = "incomplete", "ended before it was complete, so nothing of it was stored", Trait.ALWAYS
    UNAVAILABLE = (
        "unavailable",
        "was refused, because nothing could be stored at that moment; senders try again",
        Trait.ALWAYS,
    )
    OVER_QUOTA = "over_quota", "was not taken, because the organisation has used up a quota"
    DISK_FULL = "disk_full", "was not taken, because the service's disk is nearly full"
    FAILED = "failed", "failed", Trait.FAILURE
    TIMED_OUT = "timed_out", "took too long and was given up; how far it had come before is kept", Trait.FAILURE
    PARSE_KILLED = "parse_killed", "was ended because reading the answer takes more than it may", Trait.FAILURE
    BROKEN = "broken", "broke inside the service; its log says more", Trait.FAILURE | Trait.SELF_EXPLANATORY
    CUT_OFF = "cut_off", "was cut off: the process that ran it stopped, died, stood still or lost its database"
    WORKER_LOST = (
        "worker_lost",
        "failed: the process that ran its code ended twice, the second time while it ran this code alone",
        Trait.FAILURE,
    )
    CREDENTIALS_REFUSED = (
        "credentials_refused",
        "failed: the provider no longer accepts the connection's credentials",
        Trait.FAILURE,
    )
    RATE_LIMITED = "rate_limited", "was turned away: the provider asked to come back later", Trait.FAILURE
    STALE = (
        "stale",
        "came to nothing, because the trigger was changed or claimed by another worker meanwhile",
        Trait.ALWAYS,
    )
    LISTENING = "listening", "stands, and what the source sends is taken from then on", Trait.ROUTINE
    TRUNCATED = (
        "truncated",
        "found that the source no longer has all that came after the last event, so some events are missing",
    )
    MISSED = "missed", "did not fire: its time was missed, and its policy is to skip"
    REGISTERED = "registered", "was set up at the provider", Trait.ROUTINE
    RENEWED = "renewed", "was renewed at the provider", Trait.ROUTINE
    REMADE = "remade", "was not as it should be at the provider, and was made again"
    LOST = "lost", "is not as it should be at the provider, and could not be made again yet", Trait.FAILURE
    UNCHECKED = "unchecked", "could not be looked at or renewed at the provider", Trait.FAILURE
    REMOVED = "removed", "was taken down", Trait.ALWAYS | Trait.ROUTINE
    TARGET_GONE = "target_gone", "answered 410 Gone, so the trigger was disabled", Trait.DISABLES
    ENABLED = "enabled", "was enabled", Trait.ROUTINE
    DISABLED = "disabled", "was disabled", Trait.DISABLES | Trait.ROUTINE
    FINISHED = "finished", "was disabled at the end of its schedule", Trait.DISABLES
    CHANGED = "changed", "was changed", Trait.ALWAYS | Trait.ROUTINE
    DELETED = "deleted", "was deleted", Trait.DISABLES | Trait.ROUTINE
    ATTEMPT_CUT_OFF = (
        "attempt_cut_off",
        "may have run: the process that called it ended before the attempt was recorded; the delivery is tried again",
        Trait.ALWAYS | Trait.ROUTINE,
    )
    INCOMPLETE_EVENT = (
        "incomplete_event",
        "gets an event as it came, because its provider no longer has the rest",
        Trait.ALWAYS | Trait.ROUTINE,
    )
    STALLED = "stalled", "found that the trigger is overdue and no worker works on it"
    RECOVERED = "recovered", "found that the trigger is no longer overdue", Trait.ROUTINE


DeliveryStatus = Literal["pending", "waiting", "suspended", "retrying", "delivered", "dead"]

ASKED_TO_WAIT = "The provider asked to be left alone until "
"""The beginning of a sentence in the detail of a poll's outcome, by which explanations recognise why the next poll is
late.
"""

TOLD_A_TOKEN = "With it, the sender told a token"
"""A part of the detail of a handshake's outcome, by which explanations recognise that there is a token for the user to
enter.
"""

DELIVERY_STATUS: Mapping[DeliveryStatus, str] = {
    "pending": "is on the queue, or under way",
    "waiting": "waits until fewer deliveries of its project are under way, its rate limits allow more, or those before "
    "it in order end",
    "suspended": "is held back, because its project or trigger is paused",
    "retrying": "failed, and is tried again",
    "delivered": "was delivered",
    "dead": "is a dead letter: nothing more is tried until it is replayed",
}


class Failure(StrEnum):
    """The reason why an attempt failed."""

    STATUS = "status"
    TIMEOUT = "timeout"
    TLS = "tls"
    UNREADABLE = "unreadable"
    UNSENDABLE = "unsendable"
    TOO_LONG = "too_long"
    BROKEN = "broken"
    UNREACHABLE = "unreachable"
    UNFETCHED = "unfetched"
    # Only the operator's organisation sees these three. Others see `unreachable`, because the user that chose the URL
    # must not be able to map our network.
    DNS = "dns"
    REFUSED_ADDRESS = "refused_address"
    CONNECT = "connect"

    @property
    def shown(self) -> "Failure":
        """Return the failure as users of all organisations but the operator's see it. `UNREACHABLE` hides the failures
        that would tell of our network.
        """
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
    Failure.UNFETCHED: "the event could not be fetched from its provider, so the target was not called",
    Failure.DNS: "the target's name leads to no address",
    Failure.REFUSED_ADDRESS: "the target's address is one that this service does not call",
    Failure.CONNECT: "nothing took the connection at the target's address",
}
