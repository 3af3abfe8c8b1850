import base64
import gzip
import hmac
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hairtrigger.domain.errors import Malformed, Rejected
from hairtrigger.domain.event import Draft
from hairtrigger.kit.senders import SENDERS
from hairtrigger.kit.trigger import Webhook
from hairtrigger.kit.verify import STANDARD_WEBHOOKS, SVIX, Basic, Hmac, Token, Verifier
from tests.providers.asking import NOW, arrived, events, trigger

ON_REQUEST: Webhook[Any] = trigger("webhook", "on_request")


def received(body: bytes = b"{}", config: Mapping[str, Any] | None = None, **headers: str) -> Draft:
    (draft,) = events(
        ON_REQUEST, arrived(body, {name.replace("_", "-"): value for name, value in headers.items()}), config
    )
    return draft


def wrong_fields(**config: Any) -> set[Any]:
    try:
        ON_REQUEST.config.model_validate(config)
    except ValidationError as error:
        return {problem["loc"] for problem in error.errors()}
    return set()


def test_two_equal_requests_without_an_id_are_two_events() -> None:
    assert received(b"door opened").key != received(b"door opened").key


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"webhook_id": "msg_1"}, "msg_1"),
        ({"idempotency_key": "key_1"}, "key_1"),
        ({"webhook_id": "msg_1", "idempotency_key": "key_1"}, "msg_1"),
    ],
)
def test_a_repeat_is_known_by_the_id_its_sender_gave_it(headers: dict[str, str], key: str) -> None:
    assert received(b"one", None, **headers).key == received(b"two", None, **headers).key == key


def test_the_id_of_an_event_is_where_the_user_says() -> None:
    body = (
        b'{"id": "outer", "data": [{"a/b": {"~": 12345678901234567890}}], "": "nameless", "~1": "tilde", "/": "slash"}'
    )

    assert received(body, {"event_id": "/id"}).key == "outer"
    assert received(body, {"event_id": "/data/0/a~1b/~0"}).key == "12345678901234567890"
    assert received(body, {"event_id": "/"}).key == "nameless"
    assert received(body, {"event_id": "/~01"}).key == "tilde"
    assert received(body, {"event_id": "header:X-Event"}, x_event="evt_1").key == "evt_1"


@pytest.mark.parametrize(
    "body",
    [
        *[
            b"",
            b"no JSON",
            b"{}",
            b"[]",
            b'{"id": null}',
            b'{"id": ""}',
            b'{"id": true}',
            b'{"id": 1.5}',
            b'{"id": {}}',
        ],
        b'{"id": ' + b"1" * 5000 + b"}",
    ],
)
def test_a_request_without_the_id_the_user_promised_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        received(body, {"event_id": "/id"})


@pytest.mark.parametrize("pointer", ["/2", "/-1", "/01", "/-", "/x", "/0/0", "/999999999999999999999"])
def test_a_pointer_that_leads_nowhere_is_malformed(pointer: str) -> None:
    with pytest.raises(Malformed, match="There is no event id at"):
        received(b'["a", "b"]', {"event_id": pointer})


def test_a_header_that_is_not_there_is_malformed() -> None:
    with pytest.raises(Malformed, match="There is no event id at header:X-Event"):
        received(b"{}", {"event_id": "header:X-Event"})


@given(st.dictionaries(st.text(max_size=4), st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"]))))
def test_a_pointer_finds_every_member_whatever_its_name(members: dict[str, str]) -> None:
    members = {name.encode(errors="ignore").decode(): value for name, value in members.items()}

    for name, value in members.items():
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        if "\n" not in pointer:
            assert received(json.dumps(members).encode(), {"event_id": pointer}).key == value


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/csv", "image/png"])
def test_a_body_of_any_kind_is_passed_on_as_it_came(content_type: str) -> None:
    draft = received(b"\xff\x00\n", None, content_type=content_type)

    assert (draft.data, draft.content_type) == (b"\xff\x00\n", content_type)


def test_a_body_of_no_stated_kind_is_not_given_one() -> None:
    assert received(b"{}").content_type == ""


def test_the_token_may_stand_in_any_header_after_any_prefix() -> None:
    bearer = ON_REQUEST.verifier(ON_REQUEST.config.model_validate({"header": "Authorization", "prefix": "Bearer "}))

    bearer(arrived(b"", {"authorization": "Bearer s3cret"}), ["s3cret"])
    with pytest.raises(Rejected):
        bearer(arrived(b"", {"authorization": "s3cret"}), ["s3cret"])


def test_the_same_signed_body_is_the_same_event() -> None:
    hmac = {"scheme": "hmac", "header": "X-Signature"}

    assert received(b"{}", hmac).key == received(b"{}", hmac, idempotency_key="another").key
    assert received(b"{}", hmac).key != received(b"{ }", hmac).key


HMAC = {"scheme": "hmac", "header": "X-Signature"}


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({}, set()),
        (HMAC, set()),
        ({**HMAC, "signed": "{timestamp}.{body}", "timestamp_header": "X-Time"}, set()),
        ({**HMAC, "signed": "{method}{url}{body}"}, set()),
        ({"scheme": "standard_webhooks", "event_id": "/id"}, set()),
        ({"algorithm": "sha256", "tolerance": 300}, set()),
        ({"scheme": "none"}, {("scheme",)}),
        ({"scheme": "hmac"}, {("header",)}),
        ({**HMAC, "header": "X Signature"}, {("header",)}),
        ({**HMAC, "signed": "{timestamp}.{body}"}, {("signed",)}),
        ({**HMAC, "timestamp_header": "X-Time"}, {("signed",)}),
        ({**HMAC, "signed": "nothing"}, {("signed",)}),
        ({**HMAC, "signed": "{body}{0.__class__}{frob}"}, {("signed",)}),
        ({**HMAC, "algorithm": "md5"}, {("algorithm",)}),
        ({**HMAC, "tolerance": 0}, {("tolerance",)}),
        ({**HMAC, "event_id": "header:X-Event"}, {("event_id",)}),
        ({"event_id": "id"}, {("event_id",)}),
        ({"event_id": "header:"}, {("event_id",)}),
        ({"algorithm": "sha1", "signed": "{url}{body}"}, {("algorithm",), ("signed",)}),
        ({"scheme": "standard_webhooks", "header": "X", "prefix": "v1="}, {("header",), ("prefix",)}),
        ({"scheme": "standard_webhooks", "event_id": "header:X-Event"}, {("event_id",)}),
    ],
)
def test_a_configuration_that_means_nothing_is_refused_at_its_field(
    config: dict[str, Any], wrong: set[tuple[str]]
) -> None:
    assert wrong_fields(**config) == wrong


# -- the whole grammar, in the form

ALL = sorted(SENDERS)


@pytest.mark.parametrize("name", ALL)
def test_every_known_sender_can_be_chosen_by_its_name(name: str) -> None:
    config = ON_REQUEST.config.model_validate({"sender": name})

    assert ON_REQUEST.verifier(config) == SENDERS[name].verify
    assert all(one in ON_REQUEST.handshakes(config) for one in SENDERS[name].handshakes)
    assert name in ON_REQUEST.config.model_json_schema()["properties"]["sender"]["enum"]


def test_there_are_at_least_sixty_known_senders() -> None:
    assert len(SENDERS) >= 70


GRAMMAR: Sequence[tuple[dict[str, Any], Verifier]] = [
    ({"query": "key"}, Token(query="key")),
    ({"pointer": "/passcode"}, Token(pointer="/passcode")),
    ({"header": "Authorization", "prefix": "Bearer "}, Token("Authorization", prefix="Bearer ")),
    ({"scheme": "basic"}, Basic()),
    ({"scheme": "svix"}, SVIX),
    ({"scheme": "standard_webhooks"}, STANDARD_WEBHOOKS),
    (
        {
            "scheme": "hmac",
            "header": "Calendly-Webhook-Signature",
            "prefix": "v1=",
            "separator": ",",
            "timestamp_prefix": "t=",
            "signed": "{timestamp}.{body}",
            "tolerance": 180,
        },
        SENDERS["calendly"].verify,
    ),
    (
        {"scheme": "hmac", "header": "Authorization", "prefix": "HMAC ", "encoding": "base64", "key": "base64"},
        SENDERS["microsoft_teams"].verify,
    ),
    (
        {
            "scheme": "hmac",
            "header": "Twitch-Eventsub-Message-Signature",
            "prefix": "sha256=",
            "id_header": "Twitch-Eventsub-Message-Id",
            "timestamp_header": "Twitch-Eventsub-Message-Timestamp",
            "timestamp_unit": "iso",
            "tolerance": 600,
            "signed": "{id}{timestamp}{body}",
        },
        SENDERS["twitch"].verify,
    ),
    (
        {
            "scheme": "hmac",
            "header": "X-Twilio-Signature",
            "algorithm": "sha1",
            "encoding": "base64",
            "signed": "{url}{form}",
        },
        SENDERS["twilio"].verify,
    ),
    (
        {
            "scheme": "public_key",
            "header": "X-Signature-Ed25519",
            "algorithm": "ed25519",
            "key": "hex",
            "timestamp_header": "X-Signature-Timestamp",
            "signed": "{timestamp}{body}",
        },
        SENDERS["discord"].verify,
    ),
    (
        {"scheme": "jwt", "header": "X-Webhook-Signature", "issuer": "netlify", "body_claim": "sha256"},
        SENDERS["netlify"].verify,
    ),
    ({"scheme": "hmac", "header": "/signature", "signed": "{body}"}, Hmac("/signature")),
]  # fmt: skip


@pytest.mark.parametrize(("config", "verifier"), GRAMMAR, ids=lambda value: str(value)[:60])
def test_the_form_says_whatever_the_grammar_can(config: dict[str, Any], verifier: Verifier) -> None:
    assert ON_REQUEST.verifier(ON_REQUEST.config.model_validate(config)) == verifier


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({"sender": "nobody"}, {("sender",)}),
        ({"sender": "stripe", "header": "X"}, {("header",)}),
        ({"sender": "stripe", "scheme": "hmac"}, {("scheme",)}),
        ({"sender": "stripe", "tolerance": 600}, set()),
        ({"sender": "github", "tolerance": 600}, {("tolerance",)}),
        ({"sender": "square", "sender_url": "https://proxy.example/a"}, set()),
        ({"sender": "stripe", "sender_url": "https://proxy.example/a"}, {("sender_url",)}),
        ({"sender": "github", "repeats": "by_time"}, {("repeats",)}),
        ({"sender": "stripe", "repeats": "by_time"}, set()),
        ({"repeats": "by_time"}, {("repeats",)}),
        ({"scheme": "basic", "header": "X"}, {("header",)}),
        ({"header": "X", "query": "key"}, {("signed",)}),
        ({"scheme": "hmac", "header": "X", "algorithm": "ed25519"}, {("signed",)}),
        ({"scheme": "public_key", "header": "X"}, {("signed",)}),
        ({"scheme": "jwt", "header": "X", "algorithm": "sha1"}, {("signed",)}),
        ({"scheme": "hmac", "header": "X", "signed": "{/id}"}, {("signed",)}),
        ({"event_type": "type"}, {("event_type",)}),
        ({"handshake": "nobody"}, {("handshake",)}),
        ({"handshakes": [{"method": "POST", "text": "hello"}]}, {("handshakes", 0)}),
        ({"handshakes": [{"method": "GET", "when": {"nowhere": None}}]}, {("handshakes", 0)}),
        ({"handshakes": [{"method": "GET", "headers": {"a b": "x"}}]}, {("handshakes", 0)}),
        ({"handshakes": [{"method": "GET", "text": "{hex:query:a}"}]}, {("handshakes", 0)}),
        ({"handshakes": [{"method": "GET", "when": {"query:a": None}, "text": "{query:a}"}]}, set()),
        ({"methods": []}, {("methods",)}),
        ({"methods": ["TRACE"]}, {("methods", 0), ("methods",)}),
    ],
)
def test_a_setting_without_effect_is_refused_at_its_field(config: dict[str, Any], wrong: set[Any]) -> None:
    assert wrong_fields(**config) == wrong


@pytest.mark.parametrize("given", [{}, {"sender": "stripe"}, {"scheme": "standard_webhooks"}])
def test_a_form_that_sends_every_field_with_its_default_is_accepted(given: dict[str, Any]) -> None:
    defaults = {name: field.default for name, field in ON_REQUEST.config.model_fields.items()}

    assert wrong_fields(**{**defaults, **given}) == set()


def test_a_sender_that_knows_another_url_signs_that_one() -> None:
    config = ON_REQUEST.config.model_validate({"sender": "square", "sender_url": "https://proxy.example/in"})
    verifier = ON_REQUEST.verifier(config)
    signature = base64.b64encode(hmac.digest(b"a key", b"https://proxy.example/in{}", "sha256")).decode()

    verifier(arrived(b"{}", {"x-square-hmacsha256-signature": signature}), ["a key"])
    with pytest.raises(Rejected):
        SENDERS["square"].verify(arrived(b"{}", {"x-square-hmacsha256-signature": signature}), ["a key"])


# -- repeats

SIGNED_BODY = {"scheme": "hmac", "header": "X-Signature"}
TIMED = {**SIGNED_BODY, "timestamp_header": "X-Time", "signed": "{timestamp}.{body}"}


def test_a_sender_that_signs_each_retry_anew_does_not_start_two_runs() -> None:
    assert received(b"job failed", TIMED, x_time="1").key == received(b"job failed", TIMED, x_time="2").key


def test_the_signed_time_tells_events_apart_on_request() -> None:
    by_time = {**TIMED, "repeats": "by_time"}
    first, again, next_ = (received(b"job failed", by_time, x_time=time, x_signature="s") for time in ("1", "1", "2"))

    assert first.key == again.key != next_.key


def test_a_body_that_only_says_that_something_changed_is_an_event_each_time() -> None:
    dropbox = {"sender": "dropbox"}

    assert received(b"{}", dropbox).key != received(b"{}", dropbox).key
    assert (
        received(b"{}", {**dropbox, "repeats": "by_content"}).key
        == received(b"{}", {**dropbox, "repeats": "by_content"}).key
    )


def test_an_id_that_is_signed_is_the_key() -> None:
    twitch = {"sender": "twitch"}

    assert received(b"1", twitch, twitch_eventsub_message_id="m1").key == "m1"
    assert received(b'{"id": "evt_1"}', {"sender": "stripe"}).key == "evt_1"
    assert received(b'{"no": "id"}', {"sender": "stripe"}).key.startswith("sha256:")


def test_what_a_forger_may_change_in_a_form_or_an_unsigned_part_makes_no_new_event() -> None:
    form = {"content_type": "application/x-www-form-urlencoded", "x_twilio_signature": "s"}
    twilio = {"sender": "twilio"}
    assert received(b"a=1&b=2", twilio, **form).key == received(b"b=2&&a=1", twilio, **form).key
    mailgun, now = {"sender": "mailgun"}, b"%d" % NOW.timestamp()
    one = b'{"signature": {"timestamp": "%s", "token": "t", "signature": "s"}, "event-data": {"id": 1}}' % now
    assert received(one, mailgun).key == received(one.replace(b'"id": 1', b'"id": 2'), mailgun).key


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "same id (header:webhook-id or header:idempotency-key)"),
        ({"sender": "stripe"}, "same id (/id) or, if it has no id, with the same signed content"),
        (SIGNED_BODY, "with the same signed content counts as a repeat and starts nothing (repeats: by_content)"),
        ({**TIMED, "repeats": "by_time"}, "the same signed content and time"),
        ({"scheme": "standard_webhooks"}, "same id (header:webhook-id)"),
        ({"sender": "dropbox"}, "No request counts as a repeat"),
    ],
)
def test_a_trigger_says_what_counts_as_a_repeat(config: dict[str, Any], said: str) -> None:
    assert ON_REQUEST.repeats
    assert said in ON_REQUEST.repeats(ON_REQUEST.config.model_validate(config))


# -- what a request holds

READ = {"data": "read"}


def test_a_form_is_an_object_and_its_fields_are_places() -> None:
    body = b"MessageSid=SM1&Body=caf%C3%A9+%26+co&MediaUrl=a&MediaUrl=b&Empty="
    draft = received(
        body, {**READ, "event_id": "/MessageSid"}, content_type="application/x-www-form-urlencoded; charset=UTF-8"
    )

    assert json.loads(draft.data) == {"MessageSid": "SM1", "Body": "café & co", "MediaUrl": ["a", "b"], "Empty": ""}
    assert (draft.key, draft.content_type) == ("SM1", "application/json")


def test_a_form_in_parts_is_an_object_with_its_files() -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="from"\r\n\r\na@example.com\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: image/png'
        b"\r\n\r\n\xff\x00\r\n"
        b'--x\r\nContent-Disposition: form-data; name="text"\r\nContent-Type: text/plain; charset=iso-8859-1'
        b"\r\n\r\n\xe9\r\n"
        b"--x--\r\n"
    )
    draft = received(body, READ, content_type='multipart/form-data; boundary="x"')

    assert json.loads(draft.data) == {
        "from": "a@example.com",
        "file": {"filename": "a.bin", "content_type": "image/png", "data_base64": "/wA="},
        "text": "é",
    }


@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\n", b"--y--", b"\r\n--x--"[:5]])
def test_a_form_in_parts_that_is_cut_off_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        received(body, READ, content_type="multipart/form-data; boundary=x")


def test_json_that_curl_calls_a_form_is_json() -> None:
    draft = received(b' {"hello": "world"}', READ, content_type="application/x-www-form-urlencoded")

    assert (json.loads(draft.data), draft.content_type) == ({"hello": "world"}, "application/json")


TEXT = "Jürgen ✓"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_in_any_unicode_encoding_becomes_utf8(encoding: str) -> None:
    draft = received(
        json.dumps({"n": TEXT}, ensure_ascii=False).encode(encoding), READ, content_type="application/json"
    )

    assert json.loads(draft.data.decode("utf-8")) == {"n": TEXT}


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("é".encode("iso-8859-1"), "text/plain; charset=ISO-8859-1", "é"),
        ("é".encode("cp1252"), "text/csv", "é"),
        ("日本".encode("shift_jis"), "text/plain; charset=Shift_JIS", "日本"),
        (TEXT.encode("utf-16"), "text/plain", TEXT),
        (TEXT.encode("utf-16-le"), "text/plain; charset=utf-16le", TEXT),
        (TEXT.encode(), "text/plain", TEXT),
        (b"<a/>", "application/atom+xml", "<a/>"),
        (b'{"Type": "Notification"}', "text/plain; charset=UTF-8", '{"Type": "Notification"}'),
    ],
)
def test_text_becomes_utf8(body: bytes, content_type: str, text: str) -> None:
    draft = received(body, READ, content_type=content_type)

    assert draft.data.decode() == text
    assert draft.content_type.partition(";")[0] == content_type.partition(";")[0]


@pytest.mark.parametrize("charset", ["punycode", "unicode_escape", "idna", "zlib", "rot13", "utf-7", "x" * 500, "\x00"])
def test_no_charset_that_a_stranger_names_chooses_slow_or_surprising_code(charset: str) -> None:
    assert received(b"\xff", READ, content_type=f"text/plain; charset={charset}").data == b"\xff"


def test_a_compressed_body_is_decompressed_after_the_check_on_the_bytes_that_came() -> None:
    body = gzip.compress(b'{"id": "evt_1"}', mtime=0)
    signature = hmac.digest(b"a secret", body, "sha256").hex()
    config = {**SIGNED_BODY, **READ, "event_id": "/id"}
    fields = {"content-type": "application/json", "content-encoding": "gzip", "x-signature": signature}

    ON_REQUEST.verifier(ON_REQUEST.config.model_validate(config))(arrived(body, fields), ["a secret"])
    (draft,) = events(ON_REQUEST, arrived(body, fields), config)
    assert (draft.key, draft.data, draft.content_type) == ("evt_1", b'{"id": "evt_1"}', "application/json")


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (b"no gzip", "gzip", "not compressed"),
        (gzip.compress(b"{}")[:-1], "gzip", "cut off"),
        (gzip.compress(bytes(10_000_000)), "gzip", "larger than"),
        (gzip.compress(gzip.compress(bytes(2_000_000))), "gzip, gzip", "larger than"),
        (gzip.compress(b"") * 200, "gzip", "too many parts"),
        (b"{}", "br", "not read here"),
        (b"{}", "gzip, gzip, gzip, gzip", "not read here"),
    ],
    ids=["no gzip", "cut off", "a bomb", "a bomb in two codings", "many members", "another coding", "four codings"],
)
def test_what_can_not_be_decompressed_within_bounds_is_malformed(body: bytes, encoding: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        received(body, READ, content_encoding=encoding)


@pytest.mark.parametrize("window", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_deflate_is_read_with_and_without_its_header(window: int) -> None:
    compressor = zlib.compressobj(wbits=window)
    body = compressor.compress(b"{}") + compressor.flush()

    assert received(body, READ, content_encoding="deflate").data == b"{}"


def kept(url: str = "", config: Mapping[str, Any] | None = None, method: str = "POST", **headers: Any) -> Any:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    request = replace(arrived(b"{}", fields), method=method)
    (draft,) = events(ON_REQUEST, replace(request, url=request.url + url), {**READ, **(config or {})})
    assert draft.request is not None
    assert len(draft.request.encode()) <= 8192
    return json.loads(draft.request)


def test_method_query_and_headers_stay_with_the_event() -> None:
    assert kept("?source=a&tag=1&tag=2", method="PUT", x_shopify_topic="orders/create", user_agent="Shopify") == {
        "method": "PUT",
        "query": {"source": "a", "tag": ["1", "2"]},
        "headers": {"x-shopify-topic": "orders/create", "user-agent": "Shopify"},
    }


def test_nothing_that_proves_or_opens_anything_stays_with_the_event() -> None:
    hidden: dict[str, Any] = {
        **dict.fromkeys(("authorization", "cookie", "proxy_authorization", "forwarded", "x_forwarded_for"), "x"),
        **dict.fromkeys(("x_api_key", "x_auth_token", "x_hub_signature", "client_secret", "x_password"), "x"),
    }
    assert kept("?api_key=1&TOKEN=2&x=3&hmac=4", x_time="1", x_proof="2", **hidden) == {
        "method": "POST",
        "query": {"x": "3", "hmac": "4"},
        "headers": {"x-time": "1", "x-proof": "2"},
    }
    signed = {"scheme": "hmac", "header": "X-Proof", "timestamp_header": "X-Time", "signed": "{timestamp}{body}"}
    assert kept("", signed, x_time="1", x_proof="2", x_other="3")["headers"] == {"x-other": "3"}
    assert kept("?pass=1&other=2", {"query": "pass"})["query"] == {"other": "2"}


def test_no_more_than_eight_kilobytes_of_a_request_stay_with_its_event() -> None:
    many: dict[str, Any] = {f"x_{number}": "x" * 1000 for number in range(20)}
    found = kept("?a=" + "%C3%A9" * 3000, **many)

    assert found["cut"] is True
    assert len(found["headers"]) == 8


@given(st.text(st.characters(codec=None)), st.text(st.characters(max_codepoint=255)))
def test_what_stays_of_a_request_can_always_be_stored(query: str, header: str) -> None:
    found = json.dumps(kept(f"?q={query}&n=%00", x_header=header), ensure_ascii=False)

    assert "\\u0000" not in found
    assert found.encode()


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"event_type": "header:X-Shopify-Topic"}, "orders/create"),
        ({"event_type": "/type"}, "thing.made"),
        ({"event_type": "/missing"}, None),
        ({"event_type": "query:kind"}, "query"),
        ({"sender": "shopify"}, "orders/create"),
        ({}, None),
    ],
)
def test_the_type_of_an_event_is_where_the_user_or_the_sender_says(config: dict[str, Any], kind: str | None) -> None:
    request = arrived(b'{"type": "thing.made"}', {"x-shopify-topic": "orders/create"})
    for data in ("read", "raw"):
        (draft,) = events(ON_REQUEST, replace(request, url=f"{request.url}?kind=query"), {**config, "data": data})
        assert draft.type == kind


def test_a_trigger_of_an_earlier_version_keeps_its_raw_bodies() -> None:
    draft = received(gzip.compress(b"{}", mtime=0), {}, content_encoding="gzip", content_type="application/json")

    assert (draft.data, draft.request) == (gzip.compress(b"{}", mtime=0), None)
    assert ON_REQUEST.initial == READ


def test_a_message_of_sns_is_json_though_it_is_called_text() -> None:
    body = b'{"Type": "Notification", "MessageId": "1", "TopicArn": "t", "Message": "m", "Timestamp": "x"}'
    draft = received(body, {**READ, "sender": "aws_sns"}, content_type="text/plain; charset=UTF-8")

    assert (draft.key, draft.type, draft.content_type) == ("1", "Notification", "application/json")
