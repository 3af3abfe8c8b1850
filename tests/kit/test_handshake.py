import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain.errors import Rejected
from hairtrigger.kit.handshake import Answer, github_ping, graph_validation, slack_url_verification
from hairtrigger.kit.incoming import Headers, Request

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def asked(body: bytes = b"", *, query: str = "", **headers: str) -> Request:
    fields = Headers((name.replace("_", "-"), value) for name, value in headers.items())
    return Request("POST", f"https://hooks.example.com/w/1{query}", fields, body, NOW)


def challenge(text: object) -> Request:
    return asked(json.dumps({"token": "x", "type": "url_verification", "challenge": text}).encode())


def test_slack_gets_its_challenge_back_as_plain_text_that_no_browser_reads_as_a_page() -> None:
    answer = slack_url_verification(challenge("<script>alert(1)</script>"))

    assert answer == Answer(200, "text/plain; charset=utf-8", b"<script>alert(1)</script>")
    assert answer.headers == {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'"url_verification"',
        b"url_verification",
        b'{"type": "event_callback", "event": {"text": "url_verification"}}',
        b"[" * 100_000 + b"url_verification",
        b'{"type": "url_verification", "challenge": "\\ud800"}',
        b"\xff url_verification",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_an_ordinary_slack_delivery_is_no_handshake(body: bytes) -> None:
    assert slack_url_verification(asked(body)) is None


@pytest.mark.parametrize("text", [None, "", 1, ["a"], {"a": "b"}, "x" * 4097, "ü" * 2049])
def test_a_challenge_that_is_missing_or_too_long_is_refused(text: object) -> None:
    with pytest.raises(Rejected):
        slack_url_verification(challenge(text))


def test_a_challenge_of_just_the_longest_length_is_answered() -> None:
    answer = slack_url_verification(challenge("x" * 4096))

    assert answer is not None
    assert len(answer.body) == 4096


def test_githubs_ping_is_acknowledged_and_its_events_are_not_handshakes() -> None:
    assert github_ping(asked(b'{"zen": "Design for failure."}', X_GitHub_Event="ping")) == Answer(body=b"pong")
    assert github_ping(asked(b"{}", X_GitHub_Event="push")) is None
    assert github_ping(asked(b"{}")) is None


def test_graph_gets_its_token_back_decoded() -> None:
    token = "Validation: Testing client application reachability for subscription <id> ü+&"

    answer = graph_validation(asked(query=f"?validationToken={quote(token, safe='')}"))

    assert answer == Answer(body=token.encode())


def test_a_graph_notification_is_no_handshake() -> None:
    assert graph_validation(asked(b'{"value": []}', query="?tenant=1")) is None


@pytest.mark.parametrize(
    "query", ["?validationToken=", "?validationToken=a&validationToken=b", f"?validationToken={'x' * 4097}"]
)
def test_an_ambiguous_empty_or_long_graph_token_is_refused(query: str) -> None:
    with pytest.raises(Rejected):
        graph_validation(asked(query=query))


@given(
    body=st.binary() | st.binary().map(lambda junk: b'{"type":"url_verification","challenge":' + junk),
    query=st.text(st.characters(codec=None)),
)
def test_whatever_arrives_is_answered_passed_on_or_rejected(body: bytes, query: str) -> None:
    request = asked(body, query=f"?validationToken={query}")

    for handshake in (slack_url_verification, github_ping, graph_validation):
        try:
            answer = handshake(request)
        except Rejected:
            continue
        assert answer is None or (len(answer.body) <= 4096 and answer.content_type.startswith("text/plain"))
