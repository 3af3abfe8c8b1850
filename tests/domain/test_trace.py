"""The rules of W3C Trace Context (https://www.w3.org/TR/trace-context-2/) for what a sender sends."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain.trace import Begun, TraceContext, sent_context, span_of, stored_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def sent(traceparent: str, tracestate: str | None = None) -> TraceContext | None:
    return sent_context({"traceparent": traceparent} | ({} if tracestate is None else {"tracestate": tracestate}))


def test_a_context_is_read_as_it_was_sent() -> None:
    assert sent(PARENT, "a=1,b@c=2") == TraceContext(TRACE, SPAN, 1, "a=1,b@c=2")
    assert sent_context({"tracestate": "a=1"}) is None


@pytest.mark.parametrize(
    "given",
    [
        "",
        PARENT.upper(),
        f" {PARENT}",
        f"{PARENT}, {PARENT}",
        f"{PARENT}\n",
        f"{PARENT}-more",  # version 00 has no more
        f"{PARENT}00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE}-{SPAN}",
        f"cc-{TRACE}-{SPAN}-01.more",  # what a later version adds begins with a dash
        f"٠٠-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_no_context_is_none(given: str) -> None:
    assert sent(given, "a=1") is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert sent(f"cc-{TRACE}-{SPAN}-09-what-the-future-will-be-like") == TraceContext(TRACE, SPAN, 1)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("a=1 , \tb=2,,", "a=1,b=2"),
        (",".join(f"k{n}=1" for n in range(32)), ",".join(f"k{n}=1" for n in range(32))),
        (",".join(f"k{n}=1" for n in range(33)), ""),  # too many
        ("a=1,a=2", ""),  # a key twice
        ("A=1", ""),
        ("a", ""),
        ("a=", ""),
        ("a=1=2", ""),
        ("a=é", ""),
        ("a=1\nb: 2", ""),
        (f"a={'x' * 256}", f"a={'x' * 256}"),
        (f"a={'x' * 257}", ""),
        (f"a={'x' * 250},b={'x' * 250},c={'x' * 250}", f"a={'x' * 250},b={'x' * 250}"),  # the last ones are left out
        ("a=1," * 2000, ""),
    ],
)
def test_the_list_of_vendors_is_bounded_and_checked(given: str, kept: str) -> None:
    assert sent(PARENT, given) == TraceContext(TRACE, SPAN, 1, kept)


@given(st.text(max_size=80), st.text(max_size=700))
def test_whatever_is_sent_what_is_kept_is_a_header_of_bounded_size(parent: str, state: str) -> None:
    for context in (sent(parent, state), sent(PARENT, state)):
        if context:
            text = context.of_event(UUID(int=1))
            assert len(text) <= 55 + 1 + 512
            assert text.isascii()
            assert text.isprintable()
            assert stored_context(text) == context


def test_an_event_that_is_recorded_names_its_own_span() -> None:
    id_ = UUID("019df2d0-1c00-7000-8000-000000000001")
    begun = Begun(TRACE, None, 1, "a=1")

    assert begun.of_event(id_) == f"00-{TRACE}-8000000000000001-01 a=1"
    assert stored_context(begun.of_event(id_)).span_id == span_of(id_)
