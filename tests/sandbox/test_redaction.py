"""What is hidden of a secret, and what is not."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hairtrigger.sandbox.redaction import Redaction

ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in JSON": lambda secret: json.dumps({"key": secret}, ensure_ascii=False),
    "in ASCII JSON": lambda secret: json.dumps([secret]),
    "by encodeURIComponent": lambda secret: quote(secret, "-_.!~*'()"),
    "in a path": lambda secret: quote(secret, "-_.!~*'();/?:@&=+$,"),
    "in a form": lambda secret: urlencode({"key": secret}),
    "percent-encoded in lower case": lambda secret: quote(secret, "").lower() if secret == secret.lower() else "",
    "in Base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "in a Basic header": lambda secret: "Basic " + base64.b64encode(f"user:{secret}".encode()).decode(),
    "as a user name": lambda secret: "Basic " + base64.b64encode(f"{secret}:x".encode()).decode(),
    "in Base64 for URLs": lambda secret: base64.urlsafe_b64encode(f"a{secret}b".encode()).decode(),
    "in Base64 in a form": lambda secret: quote_plus(base64.b64encode(f"ab{secret}".encode()).decode()),
}
SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=30)


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@given(secret=SECRETS, before=st.text("abc =&:", max_size=5), after=st.text("xyz =&:", max_size=5))
@example(secret="s3cr+t/key==", before="", after="")
@example(secret='a"b\\c\n', before="x", after="y")
def test_a_secret_is_hidden_in_every_form_it_is_sent_in(
    encode: Callable[[str], str], secret: str, before: str, after: str
) -> None:
    encoded = encode(secret)
    shown = Redaction([secret]).whole(f"{before}{encoded}{after}")

    if encoded:
        assert "***" in shown
        assert encoded not in shown


@given(secret=st.binary(min_size=6, max_size=24), before=st.binary(max_size=4), after=st.binary(max_size=4))
def test_nothing_of_a_secrets_bits_is_left_of_its_base64(secret: bytes, before: bytes, after: bytes) -> None:
    text = secret.hex()
    encoded = base64.b64encode(before + text.encode() + after).decode()
    left, mark, right = Redaction([text]).whole(encoded).partition("***")

    assert mark
    assert len(left) <= len(before) * 8 // 6
    assert len(right.rstrip("=")) <= -(-len(after) * 8 // 6)


@given(
    text=st.text("abc", max_size=60),
    secrets=st.lists(st.text("abc", min_size=4, max_size=7), max_size=3),
    length=st.integers(0, 40),
)
def test_a_cut_text_shows_no_secret_not_even_a_part(text: str, secrets: list[str], length: int) -> None:
    redacted = Redaction(secrets)

    whole = redacted.whole(text)
    cut = redacted(text[: length + redacted.longest], length)

    assert whole.startswith(cut.removesuffix("***"))
    assert not any(secret in part for secret in secrets for part in cut.split("***"))


@given(before=st.text("a\U0001f600", max_size=80), after=st.text("b\U0001f600", max_size=80))
def test_a_text_that_its_maker_cut_shows_no_part_either(before: str, after: str) -> None:
    """The guest cuts by UTF-16 units, and where it cuts may be the middle of a secret."""
    redacted = Redaction(["s3cr3t"])
    units = (before + "s3cr3t" + after).encode("utf-16-le")[: 2 * (20 + redacted.longest)]

    shown = redacted(units.decode("utf-16-le", "ignore"), 20)

    assert "s3" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token=abc&page=2", "token=***&page=2"),
        ("Bearer abc", "Bearer ***"),
        ('{"key":"abc"}', '{"key":"***"}'),
        ("abc", "***"),
        ("fabricate the alphabet_abc", "fabricate the alphabet_abc"),
    ],
)
def test_a_short_secret_is_hidden_where_it_stands_alone(text: str, shown: str) -> None:
    assert Redaction(["abc"]).whole(text) == shown


def test_what_is_hidden_overlapping_is_hidden_together() -> None:
    assert Redaction(["abcdef", "defghi"]).whole("-abcdefghi-") == "-***-"
    assert Redaction(["secret", "secret-and-more"]).whole("(secret-and-more)") == "(***)"


def test_json_is_redacted_to_its_keys() -> None:
    value = {"s3cr3t": ["s3cr3t", 1, None, {"a": "x s3cr3t"}], "b": True}

    assert Redaction(["s3cr3t"]).json(value) == {"***": ["***", 1, None, {"a": "x ***"}], "b": True}


def test_no_secret_and_an_empty_one_hide_nothing() -> None:
    assert Redaction([]).whole("text") == Redaction([""]).whole("text") == "text"


def test_a_long_secret_with_long_texts_takes_no_time() -> None:
    """Both are a tenant's to choose, and the service has one loop."""
    redacted = Redaction(["a" * 8191 + "b"])

    for _ in range(100):
        assert redacted("a" * 13_000, 2048) == "a" * 2048
