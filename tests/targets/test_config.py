import pytest
from pydantic import TypeAdapter, ValidationError

from hairtrigger.domain.target import AgentTarget, TargetConfig, WorkflowTarget

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
        *({"Authorization": "Bearer 1"}, {"Cookie": "a=1"}, {"Content-Type": "text/plain"}, {"Webhook-Id": "1"}),
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
        WorkflowTarget(url="https://example.com/", headers=headers)
