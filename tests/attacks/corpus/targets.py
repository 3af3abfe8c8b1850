"""Targets that answer 2xx with content that cannot be read.

A 2xx means that the work was done and must not be done again, so each target is called once.
"""

import gzip
import json
from collections.abc import Mapping
from typing import Any

from tests.attacks.attack import MEBIBYTE, Attack
from tests.attacks.attacker import Attacker
from tests.attacks.pages import raw, silent, without_end
from tests.support.servers import Answer, answering

_JSON = ("Content-Type", "application/json")
_GZIP = ("Content-Encoding", "gzip")
_OK = b"HTTP/1.1 200 OK\r\n"


def _agent(url: str) -> Mapping[str, Any]:
    return {"kind": "agent", "base_url": url, "model": "m", "timeout_seconds": 10}


def _workflow(url: str) -> Mapping[str, Any]:
    return {"kind": "workflow", "url": url, "timeout_seconds": 10}


def _both(name: str, answer: Answer, *, short: bool = False) -> tuple[Attack, ...]:
    async def to_agent(attacker: Attacker) -> None:
        await _called_once(attacker, answer, _agent)

    async def to_workflow(attacker: Attacker) -> None:
        await _called_once(attacker, answer, _workflow)

    return (
        Attack(f"an agent answers 2xx: {name}", "C2", to_agent, short=short),
        Attack(f"a workflow answers 2xx: {name}", "C2", to_workflow, short=short),
    )


async def _called_once(attacker: Attacker, answer: Answer, target: Any) -> None:
    url = attacker.serve(answer)
    delivery = await attacker.deliver(target(url))
    assert delivery["status"] == "delivered", f"it is {delivery['status']}, {delivery['detail']}"
    assert attacker.called(url) == 1, f"the target was called {attacker.called(url)} times"


def _said(message: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": message}]}).encode()


_TOOLS = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {}}]}
_CHUNK = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'

ATTACKS = (
    *_both("calls of tools, and no content", answering(200, _said(_TOOLS), _JSON), short=True),
    *_both("a message without a role", answering(200, _said({"content": "done"}), _JSON)),
    *_both("another role", answering(200, _said({"role": "tool", "content": 7}), _JSON)),
    *_both("it is queued", answering(202, b'{"id": "run_1", "status": "queued"}', _JSON)),
    *_both("a stream", answering(200, _CHUNK * 100 + b"data: [DONE]\n\n", ("Content-Type", "text/event-stream"))),
    *_both("nothing", answering(200)),
    *_both("204", raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
    *_both("no choices", answering(200, b'{"choices": []}', _JSON)),
    *_both("HTML", answering(200, b"<!doctype html><h1>Done</h1>", ("Content-Type", "text/html"))),
    *_both("what is no UTF-8", answering(200, b"\xff\xfe\0d\x80", _JSON)),
    *_both("deep JSON", answering(200, b"[" * 100_000, _JSON)),
    *_both("a number of 100,000 digits", answering(200, b"9" * 100_000, _JSON)),
    *_both("fewer bytes than it says", raw(_OK + b"Content-Length: 1000\r\n\r\n{"), short=True),
    *_both("a chunk that is cut", raw(_OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\nxx")),
    *_both("a chunk that is none", raw(_OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n0\r\n\r\n")),
    *_both("it says gzip and is none", answering(200, b"done", _GZIP), short=True),
    *_both("gzip that is cut", answering(200, gzip.compress(b"x" * 10_000)[:-8], _GZIP)),
    *_both("gzip of another checksum", answering(200, gzip.compress(b"x" * 10_000)[:-8] + b"\0" * 8, _GZIP)),
    *_both("a coding that nothing opens", answering(200, b"\0\1\2", ("Content-Encoding", "br"))),
    *_both("10 MiB of zeros behind gzip", answering(200, gzip.compress(bytes(10 * MEBIBYTE)), _GZIP)),
    *_both("a body without an end", without_end(_OK + b"\r\n", b"x" * 65_536)),
    *_both("chunks without an end", without_end(_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000)),
    *_both("silence after the head", silent(_OK + b"Content-Length: 10\r\n\r\n")),
    *_both("silence in the middle", silent(_OK + b"Content-Length: 10\r\n\r\nhalf")),
    *_both("10 MB of content", answering(200, _said({"role": "assistant", "content": "x" * 10_000_000}), _JSON)),
)
