"""Every snippet of polling code fits into a trigger, asks for what it should, and returns its events."""

import json
from urllib.parse import unquote

import pytest

from hairtrigger.sandbox.protocol.poll import PollErrorKind
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import Internet, answer, failed, program
from tests.support.snippets import SNIPPETS, Snippet

pytestmark = pytest.mark.anyio

each = pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.app)


@each
async def test_a_snippet_returns_the_events_of_an_answer(sandbox: Sandbox, snippet: Snippet) -> None:
    internet = Internet(answer(snippet.answers, content_type="application/json"))

    outcome = await sandbox.run(program(snippet.code, dict(snippet.inputs), dict(snippet.secrets)), internet.fetch)

    assert len(snippet.code) <= 1000
    (request,) = internet.requests
    assert unquote(request.url) == snippet.asks
    assert snippet.sends.items() <= dict(request.headers).items()
    assert request.body is None or snippet.body is None or json.loads(request.body) == snippet.body
    assert snippet.body is None or request.body
    assert [str(one["id"]) for one in outcome.value] == list(snippet.ids)
    assert snippet.source.startswith("https://")


@each
async def test_a_snippet_fails_when_it_is_refused(sandbox: Sandbox, snippet: Snippet) -> None:
    internet = Internet(answer({"error": "no"}, status=401))
    parts = {"inputs": dict(snippet.inputs), "secrets": dict(snippet.secrets)}

    error = await failed(sandbox, snippet.code, internet.fetch, **parts)

    assert (error.kind, error.message) == (PollErrorKind.JS_ERROR, "It answered 401")
