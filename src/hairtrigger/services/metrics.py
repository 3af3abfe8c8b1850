"""Keep the metrics of this process for Prometheus. Work that comes in batches is counted batch by batch.

No label holds anything that users or senders choose: the values are those of closed lists, and the ids of the providers
that come with the service. All providers that users define are `user`. `docs/metrics.md` is generated from this module.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from hairtrigger.domain.ids import time_of
from hairtrigger.domain.outcome import Code
from hairtrigger.platform.metering import Count, CountRead, Gauge, Histogram
from hairtrigger.store.delivery.deliveries import Attempt
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.request_batches import Write

USER, UNKNOWN = "user", "unknown"  # providers that users define; requests whose provider is not known
_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SHARED = " Read from the database: every process tells the same, so take the maximum, not the sum."

STATES = ("queued", "under_way", "waiting", "retrying", "dead")
WORK = ("deliveries", "retries", "polls", "schedules", "removals")
TROUBLES = ("stalled", "refused", "failing")
ROLES = ("all", "api", "worker")


class Metrics:
    """The metrics of one process. If they are not `on`, nothing is counted."""

    def __init__(self, natives: Collection[str] = (), *, on: bool = True) -> None:
        self._on = on
        self._natives = frozenset(natives)
        self.requests = Count(
            "hairtrigger_requests", "Requests to webhooks, by how they ended.", ("provider", "outcome")
        )
        self.accept_seconds = Histogram(
            "hairtrigger_accept_seconds", "From the receipt of a request until its events were on disk.", _SHORT
        )
        self.events = Count("hairtrigger_events", "New events, by what brought them.", ("origin", "provider"))
        self.polls = Count("hairtrigger_polls", "Polls, by how they ended.", ("provider", "outcome"))
        self.sweeps = Count("hairtrigger_sweeps", "Polls beside a push, by how they ended.", ("provider", "outcome"))
        self.events_recovered = Count(
            "hairtrigger_events_recovered",
            "Events that a sweep found and that the provider's requests had not brought.",
            ("provider",),
        )
        self.poll_seconds = Histogram("hairtrigger_poll_seconds", "How long polls took.", _LONG, ("provider",))
        self.poll_lag = Histogram("hairtrigger_poll_lag_seconds", "How late due polls began.", _LONG)
        self.firings = Count("hairtrigger_firings", "Due schedules, by how their firing ended.", ("outcome",))
        self.schedule_lag = Histogram("hairtrigger_schedule_lag_seconds", "How late due schedules fired.", _LONG)
        self.attempts = Count(
            "hairtrigger_attempts",
            "Attempts to deliver, by how they ended and why they failed.",
            ("status", "failure"),
            [("delivered", ""), ("gone", "")],
        )
        self.attempt_seconds = Histogram("hairtrigger_attempt_seconds", "How long attempts took.", _LONG, ("status",))
        self.first_attempt_seconds = Histogram(
            "hairtrigger_first_attempt_seconds", "From the receipt of an event until its first attempt began.", _LONG
        )
        self.deliveries = Count(
            "hairtrigger_deliveries", "Deliveries that ended.", ("outcome",), [("delivered",), ("dead",)]
        )
        self.loop_lag = Histogram(
            "hairtrigger_loop_lag_seconds",
            "How late the event loop came back to a task, measured 4 times a second.",
            _SHORT,
        )
        self.spans = Count(
            "hairtrigger_spans",
            "Spans of traces: sent to the collector, refused by it, or given up because too many waited.",
            ("outcome",),
            [("sent",), ("refused",), ("given_up",)],
        )
        self.build = Gauge(
            "hairtrigger_build_info", "1, with the version and the role of the process.", ("version", "role")
        )
        self.requests_waiting = Gauge("hairtrigger_requests_waiting", "Requests that wait to be stored.")
        self.deliveries_under_way = Gauge(
            "hairtrigger_deliveries_under_way", "Deliveries that this process has claimed and not ended yet."
        )
        self.polls_under_way = Gauge("hairtrigger_polls_under_way", "Polls that this process runs.")
        self.listeners = Gauge("hairtrigger_listeners", "Listeners that this process runs.")
        self.sandbox_workers = Gauge(
            "hairtrigger_sandbox_workers", "Living processes that run users' JavaScript, without the spare one."
        )
        self.sandbox_memory = Gauge("hairtrigger_sandbox_memory_bytes", "Resident memory of these processes.")
        self.sandbox_cpu = CountRead("hairtrigger_sandbox_cpu_seconds", "CPU time that users' JavaScript has used.")
        self.connections = Gauge(
            "hairtrigger_database_connections", "Connections of the pool to the database, by their state.", ("state",)
        )
        self.connections_limit = Gauge("hairtrigger_database_connections_limit", "The most that the pool may have.")
        self.disk = Gauge(
            "hairtrigger_disk_used_ratio",
            "The used share of the disk, or of HAIRTRIGGER_DATABASE_MAX_BYTES; none if neither can be seen.",
        )
        self.shared_up = Gauge("hairtrigger_shared_up", "1 if the metrics below could be read, else 0.")
        self.shared_read = Gauge(
            "hairtrigger_shared_read_timestamp_seconds", "When the metrics below were last read, as Unix time."
        )
        self.shared_deliveries = Gauge(
            "hairtrigger_shared_deliveries",
            "Deliveries that have not arrived, by their state; more than 50,000 of a state are not counted." + _SHARED,
            ("state",),
        )
        self.shared_oldest = Gauge(
            "hairtrigger_shared_oldest_due_seconds",
            "How long the oldest work has been due that no process has begun; 0 if there is none." + _SHARED,
            ("work",),
        )
        self.shared_triggers = Gauge(
            "hairtrigger_shared_triggers",
            "Enabled triggers in trouble: overdue (stalled), whose requests are refused, or whose deliveries fail."
            + _SHARED,
            ("state",),
        )
        self.shared_processes = Gauge(
            "hairtrigger_shared_processes",
            "Processes that gave a sign of life in the last 30 seconds." + _SHARED,
            ("role",),
        )

    @property
    def on(self) -> bool:
        return self._on

    def all(self) -> Sequence[Count | Histogram | Gauge]:
        """Return every metric, in the order of the documentation."""
        return [one for one in vars(self).values() if isinstance(one, Count | Histogram | Gauge)]

    def _label(self, provider_id: str | None) -> str:
        return UNKNOWN if not provider_id else provider_id if provider_id in self._natives else USER

    # -- requests

    def stored(self, writes: Sequence[Write], answers: Sequence[Sequence[Event] | None], now: datetime) -> None:
        """Count the requests of a batch that was stored by `now`, and their events.

        `answers` has the new events of each write, or None for a write that was not stored and is not counted.
        """
        if not self._on:
            return
        sizes: dict[str, list[int]] = {}  # the number of new events of each request, by provider
        took = []
        for write, fresh in zip(writes, answers, strict=True):
            if write.events and fresh is not None:
                took.append((now - write.events[0].received_at).total_seconds())
                if write.provider_id in sizes:
                    sizes[write.provider_id].append(len(fresh))
                else:
                    sizes[write.provider_id] = [len(fresh)]
        for provider_id, of_requests in sizes.items():
            label, repeats = self._label(provider_id), of_requests.count(0)
            self.requests.add((label, Code.ACCEPTED), len(of_requests) - repeats)
            self.requests.add((label, Code.DUPLICATE), repeats)
            self.events.add(("webhook", label), sum(of_requests))
        self.accept_seconds.observe(took)

    def request_ended(self, code: Code, *provider_ids: str) -> None:
        """Count a request that brought no events, once for each of these providers, or for an unknown one if none is
        given.
        """
        if self._on:
            for provider_id in provider_ids or ("",):
                self.requests.add((self._label(provider_id), code))

    # -- polls and schedules

    def polls_began(self, late: Iterable[timedelta]) -> None:
        if self._on:
            self.poll_lag.observe([max(one, timedelta()).total_seconds() for one in late])

    def poll_ended(
        self, provider_id: str, code: Code, took: timedelta | None = None, events: int = 0, *, sweep: bool = False
    ) -> None:
        """Count a poll or sweep, and its events. Without `took`, it was cut off, and its time is not known."""
        if not self._on:
            return
        label = self._label(provider_id)
        (self.sweeps if sweep else self.polls).add((label, code))
        if took is not None:
            self.poll_seconds.observe([took.total_seconds()], (label,))
        if events:
            self.events.add(("sweep" if sweep else "poll", label), events)

    def recovered(self, provider_id: str, events: int) -> None:
        if self._on:
            self.events_recovered.add((self._label(provider_id),), events)

    def listened(self, provider_id: str, events: int) -> None:
        """Count new events that a listener brought."""
        if self._on:
            self.events.add(("listen", self._label(provider_id)), events)

    def fired(self, late: Iterable[timedelta], codes: Iterable[Code], events: Mapping[str, int]) -> None:
        """Count the firings of a batch by the codes of their outcomes. `events` has the numbers of new events by
        provider id.
        """
        if not self._on:
            return
        self.schedule_lag.observe([max(one, timedelta()).total_seconds() for one in late])
        for code, count in Counter(codes).items():
            self.firings.add((code,), count)
        for provider_id, count in events.items():
            self.events.add(("schedule", self._label(provider_id)), count)

    # -- deliveries

    def attempted(self, ended: Sequence[Attempt]) -> None:
        """Count the attempts of a batch, and the deliveries that ended with one of them."""
        if not self._on:
            return
        took: dict[tuple[str, str], list[float]] = {}
        first = []
        dead = 0
        for one in ended:
            message = one.message
            end: tuple[str, str] = (one.status, one.failure or "")
            if end not in took:
                took[end] = []
            took[end].append((one.finished_at - one.started_at).total_seconds())
            if one.dead is not None:
                dead += 1
            if message.attempt == 1 and message.delivery_id == message.event_id:
                first.append(max(0.0, one.started_at.timestamp() - time_of(message.event_id)))
        for result, seconds in took.items():
            self.attempts.add(result, len(seconds))
            self.attempt_seconds.observe(seconds, result[:1])
        self.first_attempt_seconds.observe(first)
        self.delivered(len(took.get(("delivered", ""), ())), dead)

    def delivered(self, arrived: int, dead: int) -> None:
        if self._on:
            self.deliveries.add(("delivered",), arrived)
            self.deliveries.add(("dead",), dead)
