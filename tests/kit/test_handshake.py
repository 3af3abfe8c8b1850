import base64
import json
import subprocess
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain.errors import Malformed, Rejected
from hairtrigger.kit import handshake
from hairtrigger.kit.handshake import HANDSHAKES, Answer, Handshake, answered
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.senders import SENDERS

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def asked(body: bytes = b"", *, query: str = "", method: str = "POST", **headers: str) -> Request:
    fields = Headers((name.replace("_", "-"), value) for name, value in headers.items())
    return Request(method, f"https://hooks.example.com/w/1{query}", fields, body, NOW)


def slack_url_verification(request: Request) -> Answer | None:
    return answered([handshake.SLACK_CHALLENGE], request, signed=True)


def github_ping(request: Request) -> Answer | None:
    return answered([handshake.GITHUB_PING], request, signed=True)


def graph_validation(request: Request) -> Answer | None:
    return answered([handshake.GRAPH_VALIDATION], request, signed=False)


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

    for one in (slack_url_verification, github_ping, graph_validation):
        try:
            answer = one(request)
        except Rejected:
            continue
        assert answer is None or (len(answer.body) <= 4096 and answer.content_type.startswith("text/plain"))


@given(
    body=st.binary() | st.sampled_from([b'{"challenge": 1}', b'{"event": "endpoint.url_validation", "payload": []}']),
    query=st.text(st.characters(codec=None)),
    header=st.text(st.characters(codec=None)),
    one=st.sampled_from(list(HANDSHAKES.values())),
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS"]),
)
def test_no_known_handshake_breaks_whatever_arrives(
    body: bytes, query: str, header: str, one: Handshake, method: str
) -> None:
    names = [place.removeprefix("header:") for place in one.when if place.startswith("header:")]
    keys = [place.removeprefix("query:") for place in one.when if place.startswith("query:")]
    request = asked(
        body, query="?" + "&".join(f"{key}={query}" for key in keys), method=method, **dict.fromkeys(names, header)
    )
    if one.asks(request):
        try:
            answer = one.answer(request, ["s3cret"])
        except Rejected:
            return
        assert len(answer.body) <= 5000
        assert not any("\r" in value or "\n" in value for value in answer.headers.values())


SECRET = "a-secret"
# What each provider's documentation shows, with the digests that OpenSSL makes of them.
SHOWN = [
    ("meta", asked(query=f"?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={SECRET}", method="GET"),
     b"1158201444", {}),
    ("strava", asked(query=f"?hub.mode=subscribe&hub.challenge=15f7d1a9&hub.verify_token={SECRET}", method="GET"),
     b'{"hub.challenge":"15f7d1a9"}', {}),
    ("dropbox", asked(query="?challenge=abc", method="GET"), b"abc", {}),
    ("okta", asked(method="GET", X_Okta_Verification_Challenge="abc"), b'{"verification":"abc"}', {}),
    ("asana", asked(X_Hook_Secret="b537207f20"), b"", {"X-Hook-Secret": "b537207f20"}),
    ("zoom", asked(b'{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event":"endpoint.url_validation"}'),
     b"", {}),
    ("twitch", asked(b'{"challenge":"pogchamp-kappa-360noscope-vohiyo","subscription":{"id":"f1c2"}}',
                     Twitch_Eventsub_Message_Type="webhook_callback_verification"),
     b"pogchamp-kappa-360noscope-vohiyo", {}),
    ("monday", asked(b'{"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}'),
     b'{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}', {}),
    ("azure_event_grid", asked(b'[{"data": {"validationCode": "512d38b6"}}]', aeg_event_type="SubscriptionValidation"),
     b'{"validationResponse":"512d38b6"}', {}),
    ("notion", asked(b'{"verification_token": "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}'), b"", {}),
    ("get", asked(method="GET"), b"", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "request_", "body", "headers"), SHOWN, ids=[shown[0] for shown in SHOWN])
def test_a_known_handshake_is_answered_as_documented(
    name: str, request_: Request, body: bytes, headers: dict[str, str]
) -> None:
    one = HANDSHAKES[name]
    answer = answered([one], request_, [SECRET], signed=one.signed)
    assert answer is not None
    if name == "zoom":
        body = b'{"plainToken":"%s","encryptedToken":"%s"}' % (ZOOM, keyed("hex", ZOOM.decode()))
    assert (answer.status, answer.body, answer.more) == (200, body, headers)
    assert answered([one], request_, [SECRET], signed=not one.signed) is None


ZOOM = b"qgg8vlvZRS6UYooatFL8Aw"


def keyed(encoding: str, text: str) -> bytes:
    """Return the digest as OpenSSL's command line makes it."""
    made = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET, "-binary"], input=text.encode(), capture_output=True, check=True
    ).stdout
    return made.hex().encode() if encoding == "hex" else base64.b64encode(made)


def test_a_verify_token_must_be_the_configured_one_or_a_secret() -> None:
    request = asked(query="?hub.mode=subscribe&hub.challenge=1&hub.verify_token=mine", method="GET")
    one = [handshake.META_CHALLENGE]

    assert answered(one, request, ["other", "mine"], signed=False)
    assert answered(one, request, ["other"], "mine", signed=False)
    for secrets, token in ((["other"], None), (["mine"], "other"), ([], None)):
        with pytest.raises(Rejected):
            answered(one, request, secrets, token, signed=False)


@pytest.mark.parametrize(("signed", "error"), [(False, Rejected), (True, Malformed)])
def test_a_body_that_can_not_be_read_is_the_fault_of_a_sender_only_if_it_is_signed(
    signed: bool, error: type[Exception]
) -> None:
    by_header = Handshake("POST", when={"header:X-Kind": "validation"}, signed=signed, text="{/0/code}")
    unreadable = asked(b"[" + b"[]," * 400_000 + b"[]]", X_Kind="validation")

    with pytest.raises(error, match="not read"):
        answered([by_header], unreadable, ["secret"], signed=signed)


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\0", "é", "x" * 4097])
def test_what_a_header_can_not_carry_is_not_sent_back_in_one(value: str) -> None:
    with pytest.raises(Rejected):
        answered([handshake.ASANA_HOOK_SECRET], asked(X_Hook_Secret=value), signed=False)


def test_cloudevents_abuse_protection_is_answered_in_headers() -> None:
    answer = answered(
        [handshake.CLOUDEVENTS_ORIGIN], asked(method="OPTIONS", WebHook_Request_Origin="a.example"), signed=False
    )

    assert answer == Answer(more={"WebHook-Allowed-Origin": "a.example", "WebHook-Allowed-Rate": "*"})


def test_discord_s_two_pings_have_two_answers() -> None:
    assert answered(SENDERS["discord"].handshakes, asked(b'{"type":1}'), signed=True) == Answer(
        200, "application/json", b'{"type":1}'
    )
    assert answered(SENDERS["discord_events"].handshakes, asked(b'{"type":0}'), signed=True) == Answer(204)


@pytest.mark.parametrize(
    "answer", [{"text": "{hex:/challenge}"}, {"json": {"a": "{base64:/a}"}}, {"headers": {"A": "{hex:header:A}"}}]
)
def test_the_answer_to_a_chosen_challenge_is_never_a_signature(answer: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs a question that is signed"):
        Handshake("POST", when={"/challenge": None}, **answer)
    assert Handshake("POST", when={"/challenge": None}, signed=True, **answer).signed
