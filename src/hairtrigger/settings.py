"""Defines all settings, and loads them from the environment: from `HAIRTRIGGER_<NAME>`, or from the file whose path is
in `HAIRTRIGGER_<NAME>_FILE`.
"""

import os
import re
import ssl
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from email.utils import parseaddr
from importlib.metadata import version
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import from_json
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from hairtrigger.domain.alert_channel import is_address
from hairtrigger.domain.disk import Thresholds
from hairtrigger.domain.quotas import Limits as Quotas
from hairtrigger.domain.quotas import Quota
from hairtrigger.kit.http import DocumentLimits
from hairtrigger.kit.oauth import Client
from hairtrigger.platform.http_server import Patience
from hairtrigger.platform.mail import PORTS, MailServer, Tls
from hairtrigger.platform.parser_process import Limits as ParseLimits
from hairtrigger.platform.proxy import Proxy
from hairtrigger.sandbox.protocol.poll import MEBIBYTE, Limits

Role = Literal["all", "api", "worker"]

PREFIX = "HAIRTRIGGER_"
OF_THE_COMMAND_LINE = (f"{PREFIX}URL", f"{PREFIX}API_KEY")  # how it finds a service: options of its commands
_DAY, _YEAR = 86_400, 365 * 86_400  # seconds
_CENTURY = 36_500  # days
_LARGEST_PART = 32 * MEBIBYTE  # that a sandbox worker sends or receives at once


def _data_dir() -> Path:
    """Return the default data directory. For root it is outside root's home, because the database's own user must reach
    it.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/hairtrigger")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "hairtrigger"


def _network(given: Any) -> Any:
    """Return the network that a text names, or a value that is no text unchanged. Raises `ValueError` if the text names
    no network.

    An address in a network stands for the network, so 10.1.2.3/16 is 10.1.0.0/16.
    """
    if not isinstance(given, str):
        return given
    try:
        return ip_network(given, strict=False)
    except ValueError:
        raise ValueError(f"'{given}' is no network such as 127.0.0.0/8") from None


Networks = list[Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]]


def _this_machine() -> list[IPv4Network | IPv6Network]:
    return [IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")]


class OAuthApp(BaseModel):
    """The client id and secret of the operator's app at a provider. An app without a secret is a public client."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str = Field(min_length=1)
    client_secret: SecretStr = SecretStr("")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on.")
    public_url: str | None = Field(
        None, description="How providers reach this service, without a slash at the end. Default: http://host:port"
    )
    data_dir: Path = Field(
        default_factory=_data_dir, description="Where the embedded database and the key file lie. Back it up."
    )
    database_url: SecretStr | None = Field(
        None, description="A PostgreSQL 14+ to use instead of the embedded one: postgresql://user:password@host/name"
    )
    database_direct_url: SecretStr | None = Field(
        None,
        description="The same database past a pooler like PgBouncer, for migrations and wake-ups. Default: "
        "HAIRTRIGGER_DATABASE_URL",
    )
    database_without: list[Literal["fsync", "full_page_writes"]] = Field(
        default_factory=list,
        description="Safeguards that your PostgreSQL may have switched off, as JSON: "
        '["full_page_writes"] where the file system writes whole pages, like ZFS. Without fsync, what was accepted can '
        "be lost. Default: none.",
    )
    database_max_bytes: int | None = Field(
        None,
        ge=MEBIBYTE,
        description="How large the database may grow. Where the disk of your PostgreSQL can't be seen from here, only "
        "this tells when it is full. Default: not known.",
    )
    disk_low_percent: float = Field(
        90,
        gt=0,
        le=100,
        description="From here on the service says that the disk is nearly full: the one with the data directory, for "
        "the embedded PostgreSQL, or the share of HAIRTRIGGER_DATABASE_MAX_BYTES.",
    )
    disk_full_percent: float = Field(
        97,
        gt=0,
        le=100,
        description="From here on new events are answered 503, and polls and schedules wait. Not below the one before.",
    )
    role: Role = Field(
        "all",
        description="What this process does: api (HTTP), worker (polls, schedules, deliveries) or all. "
        "Only all can use the embedded PostgreSQL.",
    )
    database_connections: int = Field(20, ge=4, le=500, description="The most connections to keep to the database.")
    vault_file: Path | None = Field(
        None, description="The key file that opens stored secrets. Default: vault.json in the data directory."
    )
    cache_dir: Path | None = Field(
        None,
        description="Where compiled code is kept, which can be made again. No other user may write there. Default: the "
        "folder cache in the data directory.",
    )
    app_secrets: dict[str, list[SecretStr]] = Field(
        default_factory=dict,
        description='Signing secrets of your provider apps, as JSON: {"github": ["…"], "slack": ["…"]}. All are live.',
    )
    oauth_clients: dict[str, OAuthApp] = Field(
        default_factory=dict,
        description="Your client ids at providers for connections by OAuth, as JSON: "
        '{"github": {"client_id": "…", "client_secret": "…"}}. An organisation\'s own go first.',
    )
    provider_urls: dict[str, str] = Field(
        default_factory=dict,
        description='Other addresses of providers, as JSON: {"github": "https://github.example.com/api/v3/"}',
    )
    egress_allow: Networks = Field(
        default_factory=list,
        description="Private networks that polls and targets may reach, with commas between them: "
        "127.0.0.0/8,10.1.0.0/16. Default: none.",
    )
    egress_connect_to: dict[str, str] = Field(
        default_factory=dict,
        description='Other places for hosts, like curl --connect-to, as JSON: {"api.example.com:443": "10.1.2.3:8443"}',
    )
    egress_proxy: SecretStr | None = Field(
        None,
        description="An HTTP proxy for all outgoing calls, http://host:port or http://user:password@host:port. "
        "Places in HAIRTRIGGER_EGRESS_ALLOW and HAIRTRIGGER_EGRESS_CONNECT_TO are called without it. The service "
        "refuses names that lead to private addresses, but the proxy looks names up again: it must refuse them, too.",
    )
    egress_authorities: FilePath | None = Field(
        None, description="A file of certificates (PEM) of authorities that are trusted besides the usual ones."
    )
    least_polling_seconds: int = Field(
        10, ge=1, le=_YEAR, description="The shortest interval between two polls of a trigger."
    )
    unconfirmed_events: int = Field(
        500,
        ge=0,
        description="Enabling a trigger that would start more events than this at once needs a confirmation, and a "
        "poll that brings more is told.",
    )
    poll_deadline_seconds: int = Field(60, ge=1, le=_DAY, description="A poll that takes longer is given up.")
    concurrent_polls: int = Field(
        200,
        ge=1,
        description="Polls at a time, per process. One project alone gets all of them. There are more, which only "
        "other projects (a fourth) and then other organisations (another fourth) get.",
    )
    concurrent_listeners: int = Field(
        200,
        ge=1,
        description="Triggers that hold a connection to their source, per process. They are shared as polls are.",
    )
    concurrent_polls_per_connection: int = Field(
        4, ge=1, description="Polls of one connection at a time, by all processes together."
    )
    concurrent_deliveries: int = Field(
        200, ge=1, description="Deliveries of one project at a time, per process. Others find more places."
    )
    lease_seconds: int = Field(
        30,
        ge=5,
        le=60,  # the stall watchdog waits a minute before it calls a trigger overdue
        description="How long a delivery is left to a process that died or stands still before another takes it over; "
        "a poll, so long after its deadline.",
    )
    schedule_grace_seconds: int = Field(60, ge=1, le=_YEAR, description="A firing later than this counts as missed.")
    event_days: int = Field(
        30,
        ge=1,
        le=_CENTURY,
        description="How long events are kept; longer only while a delivery of that day is on its way.",
    )
    ledger_days: int = Field(
        90,
        ge=1,
        le=_CENTURY,
        description="How long attempts, outcomes and ended replays are kept. Not shorter than events.",
    )
    key_days: int = Field(
        30,
        ge=7,
        le=_CENTURY,
        description="How long an event's key is remembered after it was last seen: a repeat starts nothing.",
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, description="The largest webhook body that is accepted.")
    max_waiting_requests: int = Field(
        10_000,
        ge=1,
        description="Requests that wait to be stored, per process. What comes then is answered with 503. One "
        "organisation alone gets all of them; there is a fourth more, which only others get.",
    )
    max_waiting_bytes: int = Field(
        64 * MEBIBYTE, ge=MEBIBYTE, description="The same for the size of all their events together."
    )
    max_receiving_bytes: int = Field(
        64 * MEBIBYTE,
        ge=32 * MEBIBYTE,
        description="The size of all requests that are being received or answered, per process, and not less than two "
        "of the largest bodies. When it is reached, those of the address that sends most are answered with 503.",
    )
    trusted_proxies: Networks = Field(
        default_factory=_this_machine,
        description="Networks of reverse proxies whose X-Forwarded-For, -Proto and -Prefix are believed, with commas "
        "between them: 10.1.0.0/16,fd00::/8. Default: this machine.",
    )
    head_seconds: int = Field(10, ge=1, description="A client that takes longer to send a request's head is cut.")
    body_seconds: int = Field(30, ge=1, description="A client that takes longer to send a request's body is cut.")
    answer_seconds: int = Field(30, ge=1, description="A client that reads nothing of its answer for so long is cut.")
    idle_seconds: int = Field(
        75,
        ge=1,
        description="How long a connection stays open between two requests. Clients, and a proxy in front, must keep "
        "theirs for a shorter time: a request that they send while it is being closed gets no answer.",
    )
    user_agent: str | None = Field(
        None,
        pattern=r"^[!-~](?:[ -~]*[!-~])?$",
        description="How the service names itself in its requests. Default: hairtrigger/VERSION (+public URL)",
    )
    feed_bytes: int = Field(16 * MEBIBYTE, ge=1024, le=64 * MEBIBYTE, description="The largest feed that is read.")
    feed_seconds: float = Field(
        60, gt=0, le=3600, description="How long fetching a feed may take, within the poll's deadline."
    )
    parsers: int = Field(
        2, ge=2, le=64, description="Processes that read feeds. One organisation has all but one of them at most."
    )
    parse_cpu_seconds: float = Field(50, gt=0, le=600, description="CPU time that reading one answer may take.")
    parse_wall_seconds: float = Field(
        55, gt=0, le=3600, description="How long reading one answer may take. Less than the poll's deadline."
    )
    parse_memory_bytes: int = Field(
        512 * MEBIBYTE, ge=16 * MEBIBYTE, description="Memory that reading one answer may take."
    )
    sandbox_workers: int = Field(2, ge=1, description="Processes that run users' JavaScript.")
    sandbox_unlocked: bool = Field(
        False, description="Whether users' JavaScript may run where Linux cannot lock its processes in (no seccomp)."
    )
    sandbox_cpu_milliseconds: int = Field(250, ge=10, le=60_000, description="CPU time that one poll may use.")
    sandbox_wall_seconds: float = Field(
        30, gt=0, le=3600, description="How long one poll may run, waiting included. Less than the poll's deadline."
    )
    sandbox_memory_bytes: int = Field(
        48 * MEBIBYTE, ge=MEBIBYTE, le=1024 * MEBIBYTE, description="Memory that one poll may use."
    )
    sandbox_fetches: int = Field(50, ge=0, le=10_000, description="Fetches that one poll may make.")
    sandbox_concurrent_fetches: int = Field(
        6, ge=1, le=1000, description="Fetches of one poll at a time; the others wait."
    )
    sandbox_fetch_seconds: float = Field(
        20,
        gt=0,
        le=3600,
        description="How long one fetch of a poll may take, with its redirects (at most 20) and its body.",
    )
    sandbox_request_bytes: int = Field(
        MEBIBYTE, ge=1024, le=_LARGEST_PART, description="The largest request that a poll may send."
    )
    sandbox_response_bytes: int = Field(
        2 * MEBIBYTE, ge=1024, le=_LARGEST_PART, description="The largest response that a poll may receive."
    )
    sandbox_total_response_bytes: int = Field(
        10 * MEBIBYTE,
        ge=1024,
        description="What all responses of a poll may have together. Bytes that are costly to read, such as very many"
        " pieces or members of gzip, count as more.",
    )
    sandbox_console_lines: int = Field(100, ge=0, le=10_000, description="Lines that are kept of a poll's console.")
    sandbox_console_line_characters: int = Field(
        2048, ge=1, le=65_536, description="Characters that are kept of a line of the console."
    )
    sandbox_result_bytes: int = Field(
        MEBIBYTE, ge=1024, le=_LARGEST_PART, description="The size of all events of a poll, as JSON."
    )
    sandbox_results: int = Field(1000, ge=1, le=100_000, description="Events that one poll may return.")
    sandbox_result_values: int = Field(
        50_000,
        ge=1,
        le=100_000,
        description="Values that the events of a poll may have in all: reading them takes time.",
    )
    sandbox_result_levels: int = Field(
        200, ge=1, le=200, description="How deeply arrays and objects may lie inside each other in a poll's events."
    )
    concurrent_dry_runs: int = Field(2, ge=1, le=100, description="Dry runs at a time, per organisation and process.")
    integration_requests_per_minute: int = Field(
        500, ge=1, description="Requests to the Integrations API, per organisation."
    )
    refuse_browsers: bool = Field(
        True, description="Whether the Integrations API refuses requests that come from a web page."
    )
    quota_projects: int = Field(Quotas.projects, ge=1, description="Projects of an organisation.")
    quota_project_triggers: int = Field(
        Quotas.project_triggers, ge=1, description="Project triggers of an organisation."
    )
    quota_connections: int = Field(Quotas.connections, ge=1, description="Connections of an organisation.")
    quota_secrets_per_connection: int = Field(
        Quotas.secrets_per_connection, ge=1, description="Secrets in one connection."
    )
    quota_api_keys: int = Field(
        Quotas.api_keys, ge=1, description="API keys of an organisation, expired ones included."
    )
    quota_integrations: int = Field(Quotas.integrations, ge=1, description="Integrations of an organisation.")
    quota_integration_triggers: int = Field(
        Quotas.integration_triggers, ge=1, description="Triggers of all integrations of an organisation."
    )
    quota_integration_actions: int = Field(
        Quotas.integration_actions, ge=1, description="Actions of all integrations of an organisation."
    )
    quota_alert_channels: int = Field(
        Quotas.alert_channels, ge=1, description="Alert channels of an organisation: e-mail and chats."
    )
    quota_running_replays: int = Field(
        Quotas.running_replays, ge=1, description="Replays of many events that an organisation may run at a time."
    )
    quota_idempotency_keys: int = Field(
        Quotas.idempotency_keys,
        ge=1,
        description="Answers that are kept for an organisation's requests with an `Idempotency-Key`, for a day each.",
    )
    quota_stored_bytes: int = Field(
        Quotas.stored_bytes,
        ge=1,
        description="Bytes that an organisation may store, in its configuration, its events and their ledger.",
    )
    quota_events_a_day: int = Field(
        Quotas.events_a_day,
        ge=1,
        description="New events of an organisation on a day (UTC). Then its webhooks get 429, and its polls wait.",
    )
    quota_attempts_a_day: int = Field(
        Quotas.attempts_a_day,
        ge=1,
        description="Attempts of an organisation's deliveries on a day (UTC). The rest waits until the next day.",
    )
    metrics_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="The bearer token with which Prometheus reads /metrics, of 16 characters or more. Without it "
        "nothing is counted, and there is no /metrics.",
    )
    traces: bool = Field(
        False,
        description="Whether spans are recorded and sent to an OpenTelemetry collector, as OTEL_EXPORTER_OTLP_ENDPOINT "
        "and the other standard variables say. Needs the extra `traces`. Without it, what senders say of their traces "
        "is passed on to targets.",
    )
    trace_ratio: float = Field(1.0, ge=0, le=1, description="The share of requests and polls whose spans are recorded.")
    traces_per_second: int = Field(
        50, ge=1, le=10_000, description="Requests and polls whose spans are recorded in a second, per process."
    )
    smtp_host: str | None = Field(
        None,
        description="The mail server through which alerts are sent by e-mail. Default: none, so no e-mail is sent.",
    )
    smtp_port: int | None = Field(
        None, ge=1, le=65535, description="Its port. Default: 587 with starttls, 465 with tls, 25 with none."
    )
    smtp_tls: Tls = Field(
        "starttls",
        description="How the connection to the mail server is encrypted: starttls (required), tls from its start, or "
        "none, which sends the password in clear text.",
    )
    smtp_user: str | None = Field(None, description="The user at the mail server. Default: no login.")
    smtp_password: SecretStr | None = Field(None, description="The user's password.")
    smtp_sender: str | None = Field(
        None, description="Whom alerts come from: alerts@example.com or Alerts <alerts@example.com>. Needed for e-mail."
    )
    log_json: bool = Field(False, description="One JSON object a line instead of text.")
    shutdown_seconds: int = Field(
        25, ge=0, description="How long a stop waits for requests, polls and deliveries under way."
    )
    unready_seconds: int = Field(
        0, ge=0, description="How long a stop still takes requests while /readyz says no, for load balancers to notice."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Environment(settings_cls), _FromFiles(settings_cls)

    @field_validator("role")
    @classmethod
    def _with_a_database_of_all(cls, given: Role, others: ValidationInfo) -> Role:
        if given != "all" and not others.data.get("database_url"):
            raise ValueError(f"the embedded PostgreSQL serves one process; '{given}' needs {PREFIX}DATABASE_URL")
        return given

    @field_validator("disk_full_percent")
    @classmethod
    def _not_before_low(cls, given: float, others: ValidationInfo) -> float:
        if given < (low := others.data.get("disk_low_percent", given)):
            raise ValueError(f"{given:g} is less than {PREFIX}DISK_LOW_PERCENT, {low:g}")
        return given

    @field_validator("ledger_days")
    @classmethod
    def _not_before_the_events(cls, given: int, others: ValidationInfo) -> int:
        if given < (events := others.data.get("event_days", given)):
            raise ValueError(f"{given} is less than {PREFIX}EVENT_DAYS, {events}: attempts tell what was delivered")
        return given

    @field_validator("egress_proxy")
    @classmethod
    def _proxy(cls, given: SecretStr | None) -> SecretStr | None:
        if given:
            Proxy.of(given.get_secret_value())
        return given

    @field_validator("smtp_sender")
    @classmethod
    def _sender(cls, given: str | None) -> str | None:
        if given is not None and not is_address(parseaddr(given)[1]):
            raise ValueError(f"'{given}' is no e-mail address")
        return given

    @model_validator(mode="after")
    def _mail_with_a_sender(self) -> Self:
        if self.smtp_host and not self.smtp_sender:
            raise ValueError(f"{PREFIX}SMTP_HOST needs {PREFIX}SMTP_SENDER, the address that alerts come from")
        return self

    @field_validator("egress_authorities")
    @classmethod
    def _certificates(cls, given: Path | None) -> Path | None:
        if given:
            try:
                ssl.create_default_context().load_verify_locations(given)
            except (OSError, ssl.SSLError):
                raise ValueError(f"{given} holds no certificates in PEM form") from None
        return given

    @field_validator("egress_connect_to")
    @classmethod
    def _places(cls, given: dict[str, str]) -> dict[str, str]:
        if wrong := [place for pair in given.items() for place in pair if not re.fullmatch(r".+:\d{1,5}", place)]:
            raise ValueError(f"'{wrong[0]}' is not host:port")
        return given

    @field_validator("sandbox_wall_seconds")
    @classmethod
    def _before_the_deadline(cls, given: float, others: ValidationInfo) -> float:
        deadline = others.data.get("poll_deadline_seconds", given + 1)
        if given >= deadline:
            raise ValueError(f"{given:g} s is not less than {PREFIX}POLL_DEADLINE_SECONDS, {deadline} s")
        return given

    @property
    def mail(self) -> MailServer | None:
        """Return the mail server, or None if the service sends no e-mail."""
        if not self.smtp_host or not self.smtp_sender:
            return None
        return MailServer(
            host=self.smtp_host,
            port=self.smtp_port or PORTS[self.smtp_tls],
            tls=self.smtp_tls,
            sender=self.smtp_sender,
            user=self.smtp_user,
            password=self.smtp_password.get_secret_value() if self.smtp_password else None,
            authorities=self.egress_authorities,
        )

    @property
    def parse_limits(self) -> ParseLimits:
        return ParseLimits(self.parse_cpu_seconds, self.parse_wall_seconds, self.parse_memory_bytes)

    @property
    def sandbox_limits(self) -> Limits:
        return Limits(
            cpu=timedelta(milliseconds=self.sandbox_cpu_milliseconds),
            wall=timedelta(seconds=self.sandbox_wall_seconds),
            memory_bytes=self.sandbox_memory_bytes,
            fetches=self.sandbox_fetches,
            concurrent_fetches=self.sandbox_concurrent_fetches,
            request_bytes=self.sandbox_request_bytes,
            response_bytes=self.sandbox_response_bytes,
            total_bytes=self.sandbox_total_response_bytes,
            console_lines=self.sandbox_console_lines,
            console_line_chars=self.sandbox_console_line_characters,
            result_bytes=self.sandbox_result_bytes,
            result_count=self.sandbox_results,
            result_values=self.sandbox_result_values,
            result_levels=self.sandbox_result_levels,
        )

    @property
    def disk_thresholds(self) -> Thresholds:
        return Thresholds(self.disk_low_percent / 100, self.disk_full_percent / 100)

    @property
    def quotas(self) -> Quotas:
        return Quotas(**{quota: getattr(self, f"quota_{quota}") for quota in Quota})

    @property
    def connect_to(self) -> dict[tuple[str, int], tuple[str, int]]:
        return {_place(host): _place(instead) for host, instead in self.egress_connect_to.items()}

    @property
    def proxy(self) -> Proxy | None:
        return Proxy.of(self.egress_proxy.get_secret_value()) if self.egress_proxy else None

    @property
    def local_url(self) -> str:
        """Return the URL at which a program on this machine reaches the service directly, without a proxy between."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 no address to listen on
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def url(self) -> str:
        return (self.public_url or self.local_url).rstrip("/")

    @property
    def agent(self) -> str:
        """Return the value of the header User-Agent in the service's own requests."""
        return self.user_agent or f"hairtrigger/{version('hairtrigger')} (+{self.url})"

    @property
    def documents(self) -> DocumentLimits:
        return DocumentLimits(self.feed_bytes, timedelta(seconds=self.feed_seconds))

    @property
    def vault_path(self) -> Path:
        return self.vault_file or self.data_dir / "vault.json"

    @property
    def cache_path(self) -> Path:
        return self.cache_dir or self.data_dir / "cache"

    @property
    def live_app_secrets(self) -> dict[str, list[str]]:
        return {
            provider: [secret.get_secret_value().strip() for secret in live]
            for provider, live in self.app_secrets.items()
        }

    @property
    def oauth(self) -> dict[str, Client]:
        """Return the operator's OAuth clients, by the names of the clients."""
        return {
            name: Client(one.client_id.strip(), one.client_secret.get_secret_value().strip())
            for name, one in self.oauth_clients.items()
        }

    @property
    def retention(self) -> tuple[timedelta, timedelta, timedelta]:
        """Return how long events, the rest of the ledger, and event keys are kept, in this order."""
        return timedelta(days=self.event_days), timedelta(days=self.ledger_days), timedelta(days=self.key_days)

    @property
    def patience(self) -> Patience:
        return Patience(
            head=timedelta(seconds=self.head_seconds),
            body=timedelta(seconds=self.body_seconds),
            answer=timedelta(seconds=self.answer_seconds),
            idle=timedelta(seconds=self.idle_seconds),
        )

    @property
    def room(self) -> int:
        """Return how many bytes the requests that are being received or answered may take together."""
        return max(self.max_receiving_bytes, 2 * self.max_body_bytes)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def stop_within(self) -> timedelta:
        return timedelta(seconds=self.shutdown_seconds)

    @property
    def poll_deadline(self) -> timedelta:
        return timedelta(seconds=self.poll_deadline_seconds)


class _Environment(EnvSettingsSource):
    """A source of settings that reads the environment. A list is JSON, or values with commas between them."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002
        """Return the value that a text stands for as JSON or, for a setting that is a list, as values with commas
        between them.

        Any other text is returned unchanged, for the validation to refuse.
        """
        try:
            return from_json(value)
        except ValueError:
            is_list = get_origin(field.annotation) is list
            return [part for one in value.split(",") if (part := one.strip())] if is_list else value


class _FromFiles(_Environment):
    """A source of settings that reads files, as orchestrators pass secrets:
    `HAIRTRIGGER_DATABASE_URL_FILE=/run/secrets/db`.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        value = Path(path).read_text().strip() if path else None
        return value, field_name, self.field_is_complex(field)


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def table() -> str:
    """Return all settings as a Markdown table with their variables, defaults and meanings, for the documentation."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory or field.default is None else f"`{field.default}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable of `environment` that is named like a setting and is none. It names the
    setting that may be meant, if one is similar.
    """
    names = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    known = {*names, *(f"{name}_FILE" for name in names), *OF_THE_COMMAND_LINE}
    said = []
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            meant = get_close_matches(name.upper(), known, n=1, cutoff=0.8)
            said.append(f"There is no setting {name}." + (f" Is {meant[0]} meant?" if meant else ""))
    return said
