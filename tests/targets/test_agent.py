import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hairtrigger.domain.outcome import Failure
from hairtrigger.domain.target import AgentTarget, Outgoing, Sent, Target
from hairtrigger.platform.clock import SystemClock
from hairtrigger.platform.egress import Egress
from hairtrigger.targets.agent import Agent
from tests.support.servers import Answer, Seen, answering, serving
from tests.targets.aimock import AiMock, running_aimock

pytestmark = pytest.mark.anyio


def completion(**message: object) -> Answer:
    body = {"id": "c1", "object": "chat.completion", "choices": [{"index": 0, "message": message}]}
    return answering(200, json.dumps(body).encode(), ("Content-Type", "application/json"))


async def sent(
    egress: Egress, outgoing: Outgoing, answer: Answer, key: str | None = None, **config: object
) -> tuple[Sent, list[Seen]]:
    async with serving(answer) as server:
        configured = AgentTarget.model_validate({"base_url": f"{server.url}/v1/", "model": "m-1", **config})
        target: Target = Agent(configured, egress, SystemClock(), key)
        return await target.send(outgoing), server.seen


async def test_an_event_opens_a_conversation(egress: Egress, outgoing: Outgoing) -> None:
    result, (seen,) = await sent(
        egress,
        outgoing,
        completion(role="assistant", content="Welcome, cus_1."),
        "sk-1",
        system_prompt="You greet customers.",
        template="New: {{data.id}}",
    )

    opening = [{"role": "system", "content": "You greet customers."}, {"role": "user", "content": "New: cus_1"}]
    assert result.conversation == [*opening, {"role": "assistant", "content": "Welcome, cus_1."}]
    assert (result.status, result.response_status, result.detail) == ("delivered", 200, "The agent answered.")
    assert json.loads(result.response)["id"] == "c1"
    assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
    assert seen.header("authorization") == "Bearer sk-1"
    assert seen.header("idempotency-key") == str(outgoing.delivery_id)
    assert json.loads(seen.body) == {"model": "m-1", "messages": opening, "user": str(outgoing.delivery_id)}


async def test_without_a_key_or_a_system_prompt_none_is_sent(egress: Egress, outgoing: Outgoing) -> None:
    _, (seen,) = await sent(egress, outgoing, completion(role="assistant", content="ok"))

    assert seen.header("authorization") is None
    assert [message["role"] for message in json.loads(seen.body)["messages"]] == ["user"]


async def test_a_message_that_would_be_too_long_is_not_sent_and_told(egress: Egress, outgoing: Outgoing) -> None:
    long = replace(outgoing, body=json.dumps("x" * 1_000_000).encode(), content_type="application/json")
    result, seen = await sent(egress, long, completion(role="assistant", content="ok"), template="{{event}}" * 10_000)

    assert (result.status, result.failure) == ("failed", Failure.TOO_LONG)
    assert result.detail == "The template makes a message of more than 4 MB."
    assert seen == []


async def test_the_trace_goes_along(egress: Egress, outgoing: Outgoing) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    _, (seen,) = await sent(egress, replace(outgoing, traceparent=trace), completion(role="assistant", content="ok"))

    assert seen.header("traceparent") == trace


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"role": "assistant", "content": ""}, ""),
        ({"role": "assistant", "content": None, "refusal": "I will not."}, "I will not."),
        ({"role": "assistant", "content": [{"type": "text", "text": "hi"}]}, [{"type": "text", "text": "hi"}]),
    ],
)
async def test_every_form_of_message_is_kept(
    message: dict[str, object], content: object, egress: Egress, outgoing: Outgoing
) -> None:
    result, _ = await sent(egress, outgoing, completion(**message))

    assert result.status == "delivered"
    assert result.conversation is not None
    assert result.conversation[-1] == {"role": "assistant", "content": content}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "The agent's answer can't be read: Invalid JSON"),
        (b"<html>", "The agent's answer can't be read: Invalid JSON"),
        (b"[]", "The agent's answer can't be read: Input should be an object"),
        (b"{}", "The agent's answer can't be read: choices: Field required."),
        (b'{"choices": []}', "The agent's answer can't be read: choices: List should have at least 1 item"),
        (b'{"choices": [{}]}', "The agent's answer can't be read: choices.0.message: Field required."),
        (
            b'{"choices": [{"message": {"role": "user", "content": "x"}}]}',
            "The agent's answer can't be read: choices.0",
        ),
        (b'{"choices": [{"message": {"role": "assistant"}}]}', "The agent's answer holds no message."),
    ],
)
async def test_an_answer_without_a_message_is_a_failure_that_says_what_is_wrong(
    body: bytes, detail: str, egress: Egress, outgoing: Outgoing
) -> None:
    result, _ = await sent(egress, outgoing, answering(200, body))

    assert (result.status, result.response_status, result.response) == ("failed", 200, body)
    assert result.detail.startswith(detail)
    assert result.conversation is None


async def test_refusals_are_failures_and_tell_no_secret(egress: Egress, outgoing: Outgoing) -> None:
    answer = answering(429, b'{"error": {"message": "slow down"}}', ("Retry-After", "7"))
    result, _ = await sent(egress, outgoing, answer, "sk-1")

    assert (result.status, result.response_status) == ("failed", 429)
    assert result.retry_after == timedelta(seconds=7)
    assert result.detail == "The target answered 429 Too Many Requests."


async def test_an_agent_that_is_not_there_is_a_failure(egress: Egress, outgoing: Outgoing) -> None:
    async with serving(answering()) as server:
        config = AgentTarget(base_url=server.url, model="m-1")
    agent = Agent(config, egress, SystemClock(), "sk-1")

    sent = await agent.send(outgoing)
    assert sent == Sent("failed", None, "The address could not be reached.", failure=Failure.CONNECT)
    assert "sk-1" not in repr(agent)


# Against someone else's server


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AiMock]:
    fixtures: list[dict[str, Any]] = [
        {"match": {"userMessage": "New customer cus_1"}, "response": {"content": "Welcome aboard."}},
        {
            "match": {"userMessage": "too often"},
            "response": {"error": {"message": "Slow down.", "type": "rate_limit_error"}, "status": 429},
        },
    ]
    path: Path = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    path.write_text(json.dumps({"fixtures": fixtures}))
    with running_aimock(path) as mock:
        yield mock


async def test_a_mock_of_the_api_understands_our_conversation(
    egress: Egress, outgoing: Outgoing, aimock: AiMock
) -> None:
    config = AgentTarget(
        base_url=f"{aimock.url}/v1", model="gpt-5", system_prompt="Greet.", template="New customer {{data.id}}"
    )

    result = await Agent(config, egress, SystemClock(), "sk-1").send(outgoing)

    assert (result.status, result.response_status) == ("delivered", 200)
    assert result.conversation == [
        {"role": "system", "content": "Greet."},
        {"role": "user", "content": "New customer cus_1"},
        {"role": "assistant", "content": "Welcome aboard."},
    ]


@pytest.mark.parametrize(("template", "status"), [("too often", 429), ("nothing it knows", 503)])
async def test_a_mock_of_the_api_refuses_in_its_own_way(
    template: str, status: int, egress: Egress, outgoing: Outgoing, aimock: AiMock
) -> None:
    config = AgentTarget(base_url=f"{aimock.url}/v1", model="gpt-5", template=template)

    result = await Agent(config, egress, SystemClock(), "sk-1").send(outgoing)

    assert (result.status, result.response_status) == ("failed", status)
