"""Settings come from the environment, and a wrong one is refused by its name."""

from dataclasses import fields
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from hairtrigger.cli import app
from hairtrigger.domain.quotas import Limits as Quotas
from hairtrigger.domain.quotas import Quota
from hairtrigger.kit.http import DocumentLimits
from hairtrigger.platform.mail import PORTS, MailServer
from hairtrigger.sandbox.protocol.poll import DEFAULT_LIMITS, MEBIBYTE, Limits
from hairtrigger.settings import Settings

SANDBOX: dict[str, tuple[str, str, Any]] = {
    "CPU_MILLISECONDS": ("100", "cpu", timedelta(milliseconds=100)),
    "WALL_SECONDS": ("2.5", "wall", timedelta(seconds=2.5)),
    "MEMORY_BYTES": ("4194304", "memory_bytes", 4 * MEBIBYTE),
    "FETCHES": ("2", "fetches", 2),
    "CONCURRENT_FETCHES": ("3", "concurrent_fetches", 3),
    "REQUEST_BYTES": ("2000", "request_bytes", 2000),
    "RESPONSE_BYTES": ("3000", "response_bytes", 3000),
    "TOTAL_RESPONSE_BYTES": ("4000", "total_bytes", 4000),
    "CONSOLE_LINES": ("5", "console_lines", 5),
    "CONSOLE_LINE_CHARACTERS": ("6", "console_line_chars", 6),
    "RESULT_BYTES": ("7000", "result_bytes", 7000),
    "RESULTS": ("8", "result_count", 8),
    "RESULT_VALUES": ("9", "result_values", 9),
    "RESULT_LEVELS": ("9", "result_levels", 9),
}


def test_without_settings_the_sandboxes_limits_are_its_own() -> None:
    assert Settings().sandbox_limits == DEFAULT_LIMITS


def test_every_limit_of_the_sandbox_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (value, _, _) in SANDBOX.items():
        monkeypatch.setenv(f"HAIRTRIGGER_SANDBOX_{name}", value)

    assert Settings().sandbox_limits == Limits(**{field: wanted for _, field, wanted in SANDBOX.values()})
    assert {field for _, field, _ in SANDBOX.values()} == {field.name for field in fields(Limits)}


def test_the_service_names_itself_its_version_and_its_address_or_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAIRTRIGGER_PUBLIC_URL", "https://hooks.example.com/")
    assert Settings().agent == f"hairtrigger/{version('hairtrigger')} (+https://hooks.example.com)"

    monkeypatch.setenv("HAIRTRIGGER_USER_AGENT", "Reader/2 (+https://x.example)")
    assert Settings().agent == "Reader/2 (+https://x.example)"

    monkeypatch.setenv("HAIRTRIGGER_USER_AGENT", "a\r\nb: c")
    with pytest.raises(ValidationError, match="user_agent"):
        Settings()


def test_the_mail_server_is_set_and_has_the_port_of_its_way_to_encrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().mail is None

    monkeypatch.setenv("HAIRTRIGGER_SMTP_HOST", "mail.example.com")
    with pytest.raises(ValidationError, match="SMTP_HOST needs HAIRTRIGGER_SMTP_SENDER"):
        Settings()
    monkeypatch.setenv("HAIRTRIGGER_SMTP_SENDER", "no address")
    with pytest.raises(ValidationError, match="is no e-mail address"):
        Settings()
    monkeypatch.setenv("HAIRTRIGGER_SMTP_SENDER", "Alerts <alerts@example.com>")
    assert Settings().mail == MailServer("mail.example.com", 587, "starttls", "Alerts <alerts@example.com>")
    for tls, port in PORTS.items():
        monkeypatch.setenv("HAIRTRIGGER_SMTP_TLS", tls)
        made = Settings().mail
        assert made
        assert (made.tls, made.port) == (tls, port)
    monkeypatch.setenv("HAIRTRIGGER_SMTP_PORT", "2525")
    monkeypatch.setenv("HAIRTRIGGER_SMTP_USER", "me")
    monkeypatch.setenv("HAIRTRIGGER_SMTP_PASSWORD", "secret")
    made = Settings().mail
    assert made
    assert (made.port, made.user, made.password) == (2525, "me", "secret")


def test_the_limits_of_feeds_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().documents == DocumentLimits(16 * MEBIBYTE, timedelta(seconds=60))

    monkeypatch.setenv("HAIRTRIGGER_FEED_BYTES", "2000")
    monkeypatch.setenv("HAIRTRIGGER_FEED_SECONDS", "1.5")
    assert Settings().documents == DocumentLimits(2000, timedelta(seconds=1.5))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("CPU_MILLISECONDS", "0", "greater than or equal to 10"),
        ("CPU_MILLISECONDS", "fast", "valid integer"),
        ("WALL_SECONDS", "0", "greater than 0"),
        ("WALL_SECONDS", "60", "60 s is not less than HAIRTRIGGER_POLL_DEADLINE_SECONDS, 60 s"),
        ("WALL_SECONDS", "nan", ""),
        ("MEMORY_BYTES", "1000", "greater than or equal to 1048576"),
        ("CONCURRENT_FETCHES", "0", "greater than or equal to 1"),
        ("RESPONSE_BYTES", "1000000000", "less than or equal to 33554432"),
        ("RESULT_LEVELS", "201", "less than or equal to 200"),
    ],
)
def test_a_wrong_limit_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str) -> None:
    monkeypatch.setenv(f"HAIRTRIGGER_SANDBOX_{name}", value)

    with pytest.raises(ValidationError) as raised:
        Settings()

    [error] = raised.value.errors()
    assert error["loc"][0] in {f"sandbox_{name}".lower(), f"HAIRTRIGGER_SANDBOX_{name}"}
    assert reason in error["msg"]


@pytest.mark.parametrize(
    ("given", "networks"),
    [
        ("127.0.0.0/8", ["127.0.0.0/8"]),
        (" 127.0.0.0/8, 10.1.0.0/16 ,::1/128,", ["127.0.0.0/8", "10.1.0.0/16", "::1/128"]),
        ('["127.0.0.0/8", "10.1.2.3/16"]', ["127.0.0.0/8", "10.1.0.0/16"]),
        ("127.0.0.1", ["127.0.0.1/32"]),
        ("", []),
    ],
)
@pytest.mark.parametrize("name", ["EGRESS_ALLOW", "TRUSTED_PROXIES"])
def test_networks_are_given_with_commas_or_as_json(
    name: str, given: str, networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"HAIRTRIGGER_{name}", given)

    assert [str(network) for network in getattr(Settings(), name.lower())] == networks


def test_a_list_in_a_file_is_given_with_commas_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "networks").write_text("127.0.0.0/8,10.1.0.0/16\n")
    monkeypatch.setenv("HAIRTRIGGER_EGRESS_ALLOW_FILE", str(tmp_path / "networks"))
    monkeypatch.setenv("HAIRTRIGGER_DATABASE_WITHOUT", "full_page_writes")

    assert [str(network) for network in Settings().egress_allow] == ["127.0.0.0/8", "10.1.0.0/16"]
    assert Settings().database_without == ["full_page_writes"]


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("EGRESS_ALLOW", "127.0.0.0/99", "'127.0.0.0/99' is no network such as 127.0.0.0/8"),
        ("EGRESS_ALLOW", "localhost", "'localhost' is no network"),
        ("EGRESS_ALLOW", '["127.0.0.0/8"', "is no network"),
        ("TRUSTED_PROXIES", "10.0.0.0/8;127.0.0.0/8", "is no network"),
        ("EGRESS_CONNECT_TO", "api.example.com:443", "valid dict"),
        ("EGRESS_CONNECT_TO", '{"a": 1', "valid dict"),
        ("PROVIDER_URLS", "github", "valid dict"),
        ("APP_SECRETS", "{'github': []}", "valid dict"),
        ("EGRESS_PROXY", "proxy:3128", "a proxy is http://host:port"),
        ("EGRESS_AUTHORITIES", __file__, "holds no certificates"),
        ("EGRESS_AUTHORITIES", "/no/such/file", "not point to a file"),
    ],
)
def test_a_wrong_value_is_refused_in_a_sentence_on_its_setting(
    name: str, given: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"HAIRTRIGGER_{name}", given)

    started = CliRunner().invoke(app, ["config", "show"])

    assert (started.exit_code, type(started.exception)) == (1, SystemExit)
    assert f"HAIRTRIGGER_{name}: " in started.output
    assert said in started.output
    assert "Traceback" not in started.output


def test_every_quota_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().quotas == Quotas()
    for number, quota in enumerate(Quota, 1):
        monkeypatch.setenv(f"HAIRTRIGGER_QUOTA_{quota.upper()}", str(number))
    assert Settings().quotas == Quotas(*range(1, len(Quota) + 1))
    assert {field.name for field in fields(Quotas)} == set(Quota)
