"""The forms of a secret that are hidden, and the texts that are not."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hairtrigger.sandbox.service.redaction import Redaction

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
# Secrets, and their forms as `new URL()` writes them; https://url.spec.whatwg.org/#percent-encoded-bytes.
IN_URLS = {
    "in a path": ('a|b^c{d}`e"f<g>', "a|b%5Ec%7Bd%7D%60e%22f%3Cg%3E"),
    "in a query": ("a'b\"c{d}|e^f", "a%27b%22c{d}|e^f"),
    "in the query of another scheme": ("a'b\"c{d}|e^f", "a'b%22c{d}|e^f"),
    "in a fragment": ('a`b"c#d{e}', "a%60b%22c#d{e}"),
    "as a password": ("a/b:c;d=e@f[g]h|i^j", "a%2Fb%3Ac%3Bd%3De%40f%5Bg%5Dh%7Ci%5Ej"),
    "in the name of a host": ("AbCdEf", "abcdef"),
    "with what URL takes out": ("ab\tcd\nef gh", "abcdef%20gh"),
    "with a backslash": ("ab\\cd ef", "ab/cd%20ef"),
    "with a percent sign": ("a%2Fb c", "a%2Fb%20c"),
    "by URLSearchParams": ("a~b c!d", "a%7Eb+c%21d"),
    "of other letters": ("schlüssel^1", "schl%C3%BCssel^1"),
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


@pytest.mark.parametrize(("secret", "written"), IN_URLS.values(), ids=IN_URLS)
def test_a_secret_is_hidden_as_a_url_has_it(secret: str, written: str) -> None:
    assert Redaction([secret]).whole(f"https://u.example/?x={written}&y") == "https://u.example/?x=***&y"


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
    """The guest cuts by UTF-16 units, and may cut in the middle of a secret."""
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
    """A tenant chooses both, and the service has one event loop."""
    redacted = Redaction(["a" * 8191 + "b"])

    for _ in range(100):
        assert redacted("a" * 13_000, 2048) == "a" * 2048


# The cost is counted, because a clock would give another result on every machine.

TEXT = "a" * 100_000
HEAVY: dict[str, tuple[list[str], str]] = {
    "a long secret": (["a" * 8191 + "b"], TEXT),
    "secrets in each other": (["a" * n for n in range(4, 2000)], TEXT),
    "secrets that are nearly there": (["a" * n + "b" for n in range(4, 2000)], TEXT),
    "many secrets": ([f"secret{n}" for n in range(4000)], "secret" * 15_000),
    "short secrets": ([f"{n:03}" for n in range(1000)], "123 " * 25_000),
    "one secret over and over": (["abcd"], "abcd." * 20_000),
}


@pytest.mark.parametrize(("secrets", "text"), HEAVY.values(), ids=HEAVY)
def test_the_work_is_bounded_and_can_be_left_after_every_piece(secrets: list[str], text: str) -> None:
    most = 50_000
    redaction = Redaction(secrets, most)

    pieces = sum(1 for _ in redaction.all_of(text))

    assert pieces >= len(text) // 4096
    assert redaction._left > -len(secrets) - 2 * len(text)
    for _ in range(5):
        before = redaction._left
        redaction.whole(text)
        if before < 0:
            assert redaction._left == before


def test_nothing_is_looked_for_once_there_was_too_much_to_look_through() -> None:
    redaction = Redaction([f"{n:08}" for n in range(4000)], 1000)
    redaction.whole("0000" * 600)

    assert sum(1 for _ in redaction.all_of("0000" * 600)) == 0


def test_what_is_too_much_to_look_through_is_hidden_as_a_whole() -> None:
    redaction = Redaction(["a" * n for n in range(4, 400)], 1000)

    assert redaction.whole("no secret") == "no secret"
    assert redaction.whole("a" * 5000 + "b") == "***"
    assert redaction.whole("anything") == "***"
    assert redaction.json({"a": ["text"]}) == {"***": ["***"]}


def test_texts_without_the_beginning_of_a_secret_cost_nothing() -> None:
    redaction = Redaction(["s3cr3t" * 1000, *(f"secret-{n}" for n in range(4000))], 0)

    assert redaction.json([f"text {n}" for n in range(10_000)]) == [f"text {n}" for n in range(10_000)]
    assert redaction("x" * 13_000, 2048) == "x" * 2048


@given(st.integers(1, 60), st.integers(0, 40))
def test_the_end_of_a_text_that_was_cut_shows_no_beginning_of_a_secret(shown: int, before: int) -> None:
    secret = "".join(map(chr, range(65, 125))) * 100
    redaction = Redaction([secret])
    text = ("." * before + secret)[: shown + redaction.longest]

    assert redaction(text, shown) == ("." * before)[:shown] + ("***" if before < shown else "")
