import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hairtrigger.domain.errors import Malformed, Rejected
from hairtrigger.domain.event import Draft
from hairtrigger.kit.trigger import Webhook
from tests.providers.asking import arrived, events, trigger

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
