import json
import re

import pytest
from pydantic import TypeAdapter, ValidationError

from hairtrigger.domain.errors import Invalid
from hairtrigger.domain.target import MASK, AgentTarget, TargetConfig, WorkflowTarget, read_config
from hairtrigger.domain.target_secrets import opened, parted

CONFIG: TypeAdapter[TargetConfig] = TypeAdapter(TargetConfig)


def test_the_kind_decides_what_a_target_is() -> None:
    workflow = CONFIG.validate_python({"kind": "workflow", "url": "https://example.com/run"})
    agent = CONFIG.validate_python({"kind": "agent", "base_url": "https://example.com/v1", "model": "m"})

    assert workflow == WorkflowTarget(url="https://example.com/run", timeout_seconds=30)
    assert agent == AgentTarget(base_url="https://example.com/v1", model="m", timeout_seconds=100)
    assert [CONFIG.validate_json(each.model_dump_json()) for each in (workflow, agent)] == [workflow, agent]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "queue", "url": "https://example.com/"},
        {"url": "https://example.com/"},
        {"kind": "workflow", "url": "https://example.com/", "unknown": 1},
        {"kind": "workflow", "url": "https://example.com/", "timeout_seconds": 0},
        {"kind": "workflow", "url": "https://example.com/", "timeout_seconds": 301},
        {"kind": "agent", "base_url": "https://example.com/v1"},
        {"kind": "agent", "base_url": "https://example.com/v1", "model": ""},
        {"kind": "agent", "base_url": "https://example.com/v1", "model": "m", "api_key": "sk-1"},
    ],
)
def test_a_target_is_configured_fully_and_with_nothing_else(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CONFIG.validate_python(wrong)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "example.com",
            "/run",
            "ftp://example.com/",
            "file:///etc/passwd",
            "http://",
            "http:///run",
            "http://[::1",
        ),
        *("https://user:pass@example.com/", "https://user@example.com/", "http://example.com:99999/", "http://x:0/"),
        "https://example.com/" + "x" * 2048,
    ],
)
def test_a_target_is_called_over_http_without_a_password(url: str) -> None:
    with pytest.raises(ValidationError):
        WorkflowTarget(url=url)
    with pytest.raises(ValidationError):
        AgentTarget(base_url=url, model="m")


def test_a_url_stays_as_it_was_typed() -> None:
    url = "https://EXAMPLE.com:443/a%2Fb/../c?d=%20e#f"

    assert WorkflowTarget(url=url).url == url


@pytest.mark.parametrize(
    "headers",
    [
        *({"Proxy-Authorization": "Basic 1"}, {"Content-Type": "text/plain"}, {"Webhook-Id": "1"}),
        *(
            {"webhook-signature": "v1,x"},
            {"Host": "x"},
            {"traceparent": "x"},
            {"X A": "1"},
            {"": "1"},
            {"X-A": "1\r\n"},
        ),
        *({"X-A": "€"}, {f"X-{number}": "1" for number in range(51)}),
    ],
)
def test_headers_that_are_ours_or_can_not_be_sent_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CONFIG.validate_python({"kind": "workflow", "url": "https://example.com/", "headers": headers})
    with pytest.raises(ValidationError):
        CONFIG.validate_python({"kind": "agent", "base_url": "https://example.com/", "model": "m", "headers": headers})


SECRETS = {"headers": {"Api-Key": "k-1", "Cookie": "a=1"}, "auth": {"kind": "basic", "username": "u", "password": "p"}}


@pytest.mark.parametrize(
    "target",
    [
        {"kind": "workflow", "url": "https://example.com/", **SECRETS},
        {"kind": "agent", "base_url": "https://example.com/v1", "model": "m", **SECRETS},
    ],
    ids=["workflow", "agent"],
)
def test_secrets_are_parted_from_what_is_stored_and_shown(target: dict[str, object]) -> None:
    config = CONFIG.validate_python(target)

    stored, secrets = parted(config, {"signing": "whsec_1", "target/headers/x-old": "gone"})

    assert secrets == {
        "signing": "whsec_1",
        "target/headers/api-key": "k-1",
        "target/headers/cookie": "a=1",
        "target/auth/password": "p",
    }
    assert stored["headers"] == {"api-key": MASK, "cookie": MASK}
    assert stored["auth"] == {"kind": "basic", "username": "u", "password": MASK}
    assert opened(stored, secrets) == config
    assert not {"k-1", "a=1", '"p"'} & set(re.findall(r'k-1|a=1|"p"', config.model_dump_json() + repr(config)))


def test_a_mask_sent_back_stands_for_the_secret_at_its_place() -> None:
    shown = {"kind": "workflow", "url": "https://new.example.com/", "headers": {"api-key": MASK, "x-b": "2"}}

    stored, secrets = parted(CONFIG.validate_python(shown), {"target/headers/api-key": "k-1"})

    assert secrets == {"target/headers/api-key": "k-1", "target/headers/x-b": "2"}
    assert stored["headers"] == {"api-key": MASK, "x-b": MASK}
    with pytest.raises(Invalid) as refused:
        parted(CONFIG.validate_python(shown), {"target/headers/other": "k-1"})
    assert refused.value.issues[0].path == ("target", "headers", "api-key")


def test_a_target_stored_before_there_were_formats_and_sealed_headers_is_read_as_it_was() -> None:
    stored = {"kind": "workflow", "url": "https://example.com/", "timeout_seconds": 30, "headers": {"x-tenant": "7"}}

    config = opened(stored, {"signing": "whsec_1"})

    assert isinstance(config, WorkflowTarget)
    assert config.format == "structured"
    assert config.headers["x-tenant"].get_secret_value() == "7"
    assert "7" not in read_config(stored).model_dump_json().replace("url", "")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"format": "template"}, "needs a `template`"),
        ({"template": {"text": "{{type}}"}}, "needs a `template`"),
        ({"format": "plain", "template": {}}, "needs a `template`"),
        ({"format": "template", "template": '{"text": {{type}}}'}, "not JSON"),
        ({"format": "template", "template": {"text": "{{typ}}"}}, "There is no {{typ}}"),
        ({"format": "template", "template": ["{{event.id}}"]}, "There is no {{event.id}}"),
        ({"format": "template", "template": {"text": "x" * 100_001}}, "longer than"),
        ({"format": "template", "template": json.loads("[" * 60 + "]" * 60)}, "levels deep"),
        ({"format": "xml"}, "Input should be"),
        ({"headers": {"Authorization": "x"}, "auth": {"kind": "bearer", "token": "t"}}, "either `auth`"),
        ({"auth": {"kind": "basic", "username": "a:b", "password": "p"}}, "pattern"),
        ({"auth": {"kind": "bearer", "token": "a\nb"}}, "can't be sent"),
        ({"auth": {"kind": "digest", "username": "a", "password": "p"}}, "does not match"),
    ],
)
def test_a_format_or_credential_that_can_not_work_is_refused_with_the_reason(more: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(why)):
        CONFIG.validate_python({"kind": "workflow", "url": "https://example.com/", **more})


def test_a_template_may_be_given_as_json_text() -> None:
    given = {
        "kind": "workflow",
        "url": "https://example.com/",
        "format": "template",
        "template": '{"text": "{{type}}"}',
    }

    config = CONFIG.validate_python(given)

    assert isinstance(config, WorkflowTarget)
    assert config.template == {"text": "{{type}}"}
