import base64
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
from hairtrigger.targets.agent import Agent, completions_url
from tests.support.servers import Answer, Seen, answering, response, saying, serving
from tests.targets.aimock import AiMock, running_aimock
from tests.targets.mock_llm import running_mock_llm

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


CALLS = [{"id": "call_1", "type": "function", "function": {"name": "refund", "arguments": '{"id": 1}'}}]


async def test_calls_of_tools_are_kept_and_said(egress: Egress, outgoing: Outgoing) -> None:
    result, _ = await sent(egress, outgoing, completion(role="assistant", content=None, tool_calls=CALLS))

    assert (result.status, result.response_status) == ("delivered", 200)
    assert result.conversation is not None
    assert result.conversation[-1] == {"role": "assistant", "content": None, "tool_calls": CALLS}
    assert result.detail == "The agent answered. It asks for tools to be called, which is not done here."


READABLE: dict[str, tuple[bytes, dict[str, Any]]] = {
    "no role": (b'{"choices": [{"message": {"content": "x"}}]}', {"role": "assistant", "content": "x"}),
    "another role": (
        b'{"choices": [{"message": {"role": "user", "content": "x"}}]}',
        {"role": "user", "content": "x"},
    ),
    "a role that is no text": (
        b'{"choices": [{"message": {"role": 7, "content": "x"}}]}',
        {"role": "assistant", "content": "x"},
    ),
    "content that is a number": (b'{"choices": [{"message": {"content": 7}}]}', {"role": "assistant", "content": 7}),
    "a message that is a text": (b'{"choices": [{"message": "x"}]}', {"role": "assistant", "content": "x"}),
    "a completion of text": (b'{"choices": [{"text": "x"}]}', {"role": "assistant", "content": "x"}),
    "the second choice": (
        b'{"choices": [null, {"message": {"role": "assistant", "content": "x"}}]}',
        {"role": "assistant", "content": "x"},
    ),
    "an old call of a function": (
        b'{"choices": [{"message": {"role": "assistant", "function_call": {"name": "f"}}}]}',
        {"role": "assistant", "content": None, "function_call": {"name": "f"}},
    ),
    "a mark of the byte order": (
        b'\xef\xbb\xbf{"choices": [{"message": {"content": "x"}}]}',
        {"role": "assistant", "content": "x"},
    ),
    "UTF-16": (
        '{"choices": [{"message": {"content": "\u00e9"}}]}'.encode("utf-16"),
        {"role": "assistant", "content": "\u00e9"},
    ),
    "bytes that are no text": (
        b'{"choices": [{"message": {"content": "\xff"}}]}',
        {"role": "assistant", "content": "\ufffd"},
    ),
    "half of a surrogate pair": (
        rb'{"choices": [{"message": {"content": "a\ud83d b\ude00 c\ud83d\ude00 d\\ud83d \n\u0000"}}]}',
        {"role": "assistant", "content": "a\ufffd b\ufffd c\U0001f600 d\\ud83d \n\0"},
    ),
    "the same key twice": (
        b'{"choices": [], "choices": [{"message": {"content": "x", "content": "y"}}]}',
        {"role": "assistant", "content": "y"},
    ),
    "numbers that are none": (
        b'{"choices": [{"message": {"content": "x"}, "logprobs": [NaN, -Infinity, 1e999]}]}',
        {"role": "assistant", "content": "x"},
    ),
}


@pytest.mark.parametrize(("body", "message"), READABLE.values(), ids=READABLE)
async def test_an_answer_of_an_odd_form_is_read_as_far_as_it_can_be(
    body: bytes, message: dict[str, Any], egress: Egress, outgoing: Outgoing
) -> None:
    result, _ = await sent(egress, outgoing, answering(200, body))

    assert (result.status, result.response_status, result.response) == ("delivered", 200, body)
    assert result.conversation is not None
    assert result.conversation[-1] == message
    assert "in the role" in result.detail or message["role"] == "assistant"


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "the answer is empty"),
    "spaces": (b" \r\n", "the answer is empty"),
    "a page": (b"<html>", "the answer is not JSON"),
    "binary": (bytes(range(256)), "the answer is not text"),
    "binary that is no UTF-16": (bytes(range(254, 0, -1)), "the answer is not JSON"),
    "half a value": (b'{"choices": [{"mess', "the answer is not JSON"),
    "two values": (b"{}{}", "the answer is not JSON"),
    "too deep": (b"[" * 100_000 + b"]" * 100_000, "the answer has too many parts"),
    "deep": (b"[" * 20_000 + b"]" * 20_000, "the answer is not JSON"),
    "too many parts": (b"[" + b"0," * 100_000 + b"0]", "the answer has too many parts"),
    "a huge number": (b'{"choices": ' + b"9" * 10_000 + b"}", "the answer is not JSON"),
    "an array": (b"[]", "the answer has no choices"),
    "null": (b"null", "the answer has no choices"),
    "an object": (b"{}", "the answer has no choices"),
    "queued": (b'{"status": "queued"}', "the answer has no choices"),
    "an error": (b'{"error": {"message": "busy"}}', "the answer has no choices"),
    "choices that are no list": (b'{"choices": {}}', "the answer has no choices"),
    "no choice": (b'{"choices": []}', "the answer holds no message"),
    "an empty choice": (b'{"choices": [{}]}', "the answer holds no message"),
    "a choice that is none": (b'{"choices": [1, "x", null, [[]]]}', "the answer holds no message"),
    "an empty message": (b'{"choices": [{"message": {"role": "assistant"}}]}', "the answer holds no message"),
    "no content": (
        b'{"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": []}}]}',
        "the answer holds no message",
    ),
    "half a pair in UTF-16": (b"\xff\xfe\x00\xd8\x00\x00", "the answer is not text"),
    "a stream of too much": (b"data:1\n" * 20_001, "the stream has too many parts"),
    "a stream of nothing": (b"data: {}\n\ndata: [DONE]\n\n", "the stream holds no message"),
    "a stream of nonsense": (b": hi\n\nevent: x\ndata: {nonsense\n\n", "the stream holds no message"),
}


@pytest.mark.parametrize(("body", "why"), UNREADABLE.values(), ids=UNREADABLE)
async def test_an_agent_that_ran_does_not_run_again_because_of_what_it_said(
    body: bytes, why: str, egress: Egress, outgoing: Outgoing
) -> None:
    result, _ = await sent(egress, outgoing, answering(200, body))

    assert (result.status, result.response_status, result.response) == ("delivered", 200, body[: 16 * 1024])
    assert result.detail == f"The agent answered 200, but no message can be read: {why}."
    assert result.conversation is None
    assert result.failure is None


async def test_the_beginning_of_a_message_is_kept_when_the_answer_breaks_off(
    egress: Egress, outgoing: Outgoing
) -> None:
    body = b'{"choices": [{"message": {"role": "assistant", "content": "It was a dark and'
    result, _ = await sent(egress, outgoing, saying(response(200, body + b" stormy night")[:-13]))

    assert (result.status, result.response) == ("delivered", body)
    assert result.conversation is not None
    assert result.conversation[-1] == {"role": "assistant", "content": "It was a dark and"}
    assert result.detail == "The agent answered, but the answer ended before it was complete."


async def test_a_message_that_is_larger_than_is_read_is_kept_in_part(egress: Egress, outgoing: Outgoing) -> None:
    result, _ = await sent(egress, outgoing, completion(role="assistant", content="x" * 3_000_000))

    assert result.status == "delivered"
    assert result.conversation is not None
    assert 2_000_000 < len(result.conversation[-1]["content"]) < 3_000_000
    assert result.detail == "The agent answered, but the answer is larger than this service reads."


def chunk(**delta: object) -> bytes:
    body = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    return b"data: " + json.dumps(body).encode()


CHUNKS = [
    b": a comment",
    chunk(role="assistant", content=""),
    chunk(content="Wel"),
    b"event: message\nid: 7\nretry: 1",
    chunk(content="come\n\u00e9"),
    chunk(tool_calls=[{"index": 0, "id": "call_1", "type": "function", "function": {"name": "refund"}}]),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"id"'}}]),
    chunk(tool_calls=[{"index": 0, "id": None, "function": {"arguments": ": 1}"}}]),
    b"data: what is this?",
    b'data: {"choices": [], "usage": {"total_tokens": 7}}',
    b"data: [DONE]",
]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
@pytest.mark.parametrize("kind", ["text/event-stream; charset=utf-8", "application/json"])
async def test_a_stream_is_put_together(end: bytes, kind: str, egress: Egress, outgoing: Outgoing) -> None:
    answer = answering(200, end.join([*CHUNKS, b""]), ("Content-Type", kind))
    result, _ = await sent(egress, outgoing, answer)

    assert result.status == "delivered"
    assert result.conversation is not None
    assert result.conversation[-1] == {"role": "assistant", "content": "Welcome\n\u00e9", "tool_calls": CALLS}


async def test_a_stream_that_breaks_off_is_kept_as_far_as_it_came(egress: Egress, outgoing: Outgoing) -> None:
    stream = b"\n\n".join(CHUNKS[:3])
    result, _ = await sent(egress, outgoing, saying(response(200, stream + b"\n\n" + CHUNKS[4])[: -len(CHUNKS[4])]))

    assert result.status == "delivered"
    assert result.conversation is not None
    assert result.conversation[-1] == {"role": "assistant", "content": "Wel"}
    assert "ended before it was complete" in result.detail


async def test_a_refusal_in_a_stream_is_the_answer(egress: Egress, outgoing: Outgoing) -> None:
    stream = b"\n\n".join([chunk(refusal="I will "), chunk(refusal="not."), b""])
    result, _ = await sent(egress, outgoing, answering(200, stream))

    assert result.conversation is not None
    assert result.conversation[-1] == {"role": "assistant", "content": "I will not."}


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


# Against independent servers


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AiMock]:
    fixtures: list[dict[str, Any]] = [
        {"match": {"userMessage": "New customer cus_1"}, "response": {"content": "Welcome aboard."}},
        {"match": {"userMessage": "a tool"}, "response": {"toolCalls": [{"id": "c1", "name": "f", "arguments": "{}"}]}},
        {"match": {"userMessage": "silence"}, "response": {"content": ""}},
        {"match": {"userMessage": "broken"}, "response": {"content": "x"}, "chaos": {"malformedRate": 1}},
        {"match": {"userMessage": "gone"}, "response": {"content": "x"}, "chaos": {"disconnectRate": 1}},
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


TOOL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
UNREAD = "The agent answered 200, but no message can be read: "


@pytest.mark.parametrize(
    ("template", "message", "detail"),
    [
        (
            "a tool",
            {"role": "assistant", "content": None, "tool_calls": [TOOL]},
            "The agent answered. It asks for tools",
        ),
        ("silence", {"role": "assistant", "content": ""}, "The agent answered."),
        ("broken", None, UNREAD + "the answer is not JSON."),
    ],
)
async def test_what_a_mock_of_the_api_answers_is_read_and_never_asked_for_again(
    template: str, message: Any, detail: str, egress: Egress, outgoing: Outgoing, aimock: AiMock
) -> None:
    config = AgentTarget(base_url=f"{aimock.url}/v1", model="gpt-5", template=template)

    result = await Agent(config, egress, SystemClock(), "sk-1").send(outgoing)

    assert (result.status, result.response_status) == ("delivered", 200)
    assert (result.conversation[-1] if result.conversation else None) == message
    assert result.detail.startswith(detail)


async def test_a_mock_of_the_api_that_hangs_up_without_a_status_is_a_failure(
    egress: Egress, outgoing: Outgoing, aimock: AiMock
) -> None:
    config = AgentTarget(base_url=f"{aimock.url}/v1", model="gpt-5", template="gone")

    result = await Agent(config, egress, SystemClock(), "sk-1").send(outgoing)

    assert (result.status, result.response_status) == ("failed", None)


CHOICE: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
SHAPES: dict[str, tuple[int, Any, Any, str]] = {
    "calls of tools": (
        200,
        {"choices": [CHOICE | {"message": {"role": "assistant", "content": None, "tool_calls": [TOOL]}}]},
        {"role": "assistant", "content": None, "tool_calls": [TOOL]},
        "The agent answered. It asks for tools to be called, which is not done here.",
    ),
    "no role": (
        200,
        {"choices": [CHOICE | {"message": {"content": "x"}}]},
        {"role": "assistant", "content": "x"},
        "The agent answered.",
    ),
    "parts": (
        200,
        {"choices": [CHOICE | {"message": {"role": "assistant", "content": [{"type": "text", "text": "x"}]}}]},
        {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
        "The agent answered.",
    ),
    "queued": (
        202,
        {"status": "queued", "id": "run_1"},
        None,
        "The agent answered 202, but no message can be read: the answer has no choices.",
    ),
    "no choice": (200, {"choices": []}, None, UNREAD + "the answer holds no message."),
    "an error": (200, {"error": {"message": "busy"}}, None, UNREAD + "the answer has no choices."),
    "empty": (200, {}, None, UNREAD + "the answer has no choices."),
    "a text": (201, "queued", None, "The agent answered 201, but no message can be read: the answer has no choices."),
}


@pytest.fixture(scope="module")
def mock_llm() -> Iterator[str]:
    with running_mock_llm({name: (status, body) for name, (status, body, _, _) in SHAPES.items()}) as url:
        yield url


@pytest.mark.parametrize("name", SHAPES)
async def test_what_another_mock_answers_is_read_and_never_asked_for_again(
    name: str, egress: Egress, outgoing: Outgoing, mock_llm: str
) -> None:
    status, _, message, detail = SHAPES[name]
    config = AgentTarget(base_url=f"{mock_llm}/v1", model="gpt-5", template=name)

    result = await Agent(config, egress, SystemClock(), "sk-1").send(outgoing)

    assert (result.status, result.response_status) == ("delivered", status)
    assert (result.conversation[-1] if result.conversation else None) == message
    assert result.detail == detail


# Addresses and credentials


@pytest.mark.parametrize(
    ("base_url", "called"),
    [
        ("https://a.example/v1", "https://a.example/v1/chat/completions"),
        ("https://a.example/v1/", "https://a.example/v1/chat/completions"),
        ("https://a.example", "https://a.example/chat/completions"),
        (
            "https://a.example/openai/deployments/d?api-version=2024-10-21",
            "https://a.example/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        ("https://a.example/v1/?a=1&b=/x/", "https://a.example/v1/chat/completions?a=1&b=/x/"),
        ("https://a.example/v1#part", "https://a.example/v1/chat/completions"),
        ("https://a.example/v1/chat/completions", "https://a.example/v1/chat/completions"),
        ("https://a.example/v1/chat/completions/?v=1", "https://a.example/v1/chat/completions?v=1"),
        ("https://a.example/a%2Fb", "https://a.example/a%2Fb/chat/completions"),
    ],
)
def test_the_path_is_joined_before_the_query(base_url: str, called: str) -> None:
    assert completions_url(base_url) == called


async def test_an_agent_gets_its_headers_and_credentials(egress: Egress, outgoing: Outgoing) -> None:
    async with serving(answering(200, b"{}")) as server:
        config = AgentTarget.model_validate(
            {
                "base_url": f"{server.url}/d?api-version=1",
                "model": "m",
                "headers": {"Api-Key": "k-1", "Content-Language": "de", "Idempotency-Key": "mine"},
                "auth": {"kind": "basic", "username": "ü", "password": "p:w"},
            }
        )
        await Agent(config, egress, SystemClock(), "bearer that does not count").send(outgoing)
        (seen,) = server.seen

    assert seen.path == "/d/chat/completions?api-version=1"
    assert (seen.header("api-key"), seen.header("content-language")) == ("k-1", "de")
    assert seen.header("authorization") == "Basic " + base64.b64encode("ü:p:w".encode()).decode()
    assert seen.header("idempotency-key") == str(outgoing.delivery_id)
