import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain.event import Draft
from hairtrigger.domain.privacy import EVERYTHING, REDACTED, Privacy

BODY = {"user": {"email": "a@b.c", "name": "A"}, "items": [{"note": "x", "n": 1}, {"note": "y"}], "a/b": 1, "m~n": 2}


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (["/user/email"], {**BODY, "user": {"email": REDACTED, "name": "A"}}),
        (["/user"], {**BODY, "user": REDACTED}),
        (["/user", "/user/email"], {**BODY, "user": REDACTED}),
        (["/user/email", "/user"], {**BODY, "user": REDACTED}),
        (["/items/1/note"], {**BODY, "items": [{"note": "x", "n": 1}, {"note": REDACTED}]}),
        (["/items/*/note"], {**BODY, "items": [{"note": REDACTED, "n": 1}, {"note": REDACTED}]}),
        (["/items/0/n", "/items/*/note"], {**BODY, "items": [{"note": REDACTED, "n": REDACTED}, {"note": REDACTED}]}),
        (["/a~1b", "/m~0n"], {**BODY, "a/b": REDACTED, "m~n": REDACTED}),
        (["/*/email"], {**BODY, "user": {"email": REDACTED, "name": "A"}}),
        (["/items/7", "/items/x", "/nowhere", "/user/email/x"], BODY),
    ],
)
def test_what_a_pointer_leads_to_is_replaced(places: list[str], expected: Any) -> None:
    draft = Draft("key", json.dumps(BODY).encode())
    redacted = Privacy(redact=tuple(places)).redacted(draft)
    assert json.loads(redacted.data) == expected
    assert redacted.key == "key"


def test_a_body_in_which_no_pointer_finds_anything_stays_byte_for_byte() -> None:
    draft = Draft("key", b'{ "a" : 1.50 }')
    assert Privacy(redact=("/b",)).redacted(draft) is draft


@pytest.mark.parametrize("data", [b"<xml/>", b"a=1&b=2", b'{"a": ', b"\xff\xfe"])
def test_a_body_that_is_not_json_is_redacted_as_a_whole(data: bytes) -> None:
    redacted = Privacy(redact=("/a",)).redacted(Draft("key", data, content_type="application/xml"))
    assert (redacted.data, redacted.content_type) == (REDACTED.encode(), "text/plain; charset=utf-8")


def test_headers_and_parameters_of_the_request_are_redacted() -> None:
    request = json.dumps(
        {"method": "POST", "query": {"u": "1", "v": ["2", "3"]}, "headers": {"x-user": "A", "x-b": "B"}}
    )
    draft = Draft("key", b"{}", request=request)
    redacted = Privacy(redact=("header:X-User", "query:v")).redacted(draft)
    assert redacted.request
    kept = json.loads(redacted.request)
    assert kept["headers"] == {"x-user": REDACTED, "x-b": "B"}
    assert kept["query"] == {"u": "1", "v": REDACTED}


@given(
    st.recursive(
        st.text(max_size=3) | st.integers(),
        lambda inside: (
            st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "*"]), inside, max_size=3)
        ),
    ),
    st.lists(st.sampled_from(["/a", "/b/a", "/*", "/a/*/b", "/0", "/*/1"]), max_size=4),
)
def test_each_pointer_leads_to_nothing_but_the_mark_afterwards(value: Any, places: list[str]) -> None:
    redacted = Privacy(redact=tuple(places)).redacted_value(json.loads(json.dumps(value)))
    for place in places:
        for found in _at([redacted], place.split("/")[1:]):
            assert found == REDACTED


def _at(values: list[Any], parts: list[str]) -> list[Any]:
    for part in parts:
        following: list[Any] = []
        for value in values:
            if value == REDACTED:
                continue
            if isinstance(value, dict):
                following += value.values() if part == "*" else [value[part]] if part in value else []
            elif isinstance(value, list):
                following += value if part == "*" else value[int(part) : int(part) + 1] if part.isdecimal() else []
        values = following
    return values


@pytest.mark.parametrize("redact", [(), ("header:X-User",)])
def test_without_a_pointer_nothing_of_a_value_is_redacted(redact: tuple[str, ...]) -> None:
    assert Privacy(redact=redact).redacted_value("text") == "text"
    assert Privacy(redact=redact).redacted_value({"a": 1}) == {"a": 1}


def test_privacy_is_stored_only_if_something_is_not_kept() -> None:
    assert EVERYTHING.stored() is None
    private = Privacy(keep_body=False, redact=("/a",), retention_days=3)
    assert Privacy.of(private.stored()) == private
