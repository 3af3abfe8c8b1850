"""The parts that the targets behind HTTP share. They are the headers that mark requests, the forms of an event's data,
and the results that follow from answers.
"""

from datetime import datetime
from http import HTTPStatus

from pydantic_core import to_json

from hairtrigger.domain import hops
from hairtrigger.domain.json_reader import read_json
from hairtrigger.domain.media import media_of
from hairtrigger.domain.outcome import Failure
from hairtrigger.domain.retry import parse_retry_after
from hairtrigger.domain.target import Outgoing, Sent
from hairtrigger.platform.egress import EgressFailed, Reason, Reply

KEPT = 16 * 1024
"""The number of bytes of an answer that are kept for users who look at the delivery."""

_FAILURES = {
    Reason.BLOCKED_ADDRESS: Failure.REFUSED_ADDRESS,
    Reason.DNS: Failure.DNS,
    Reason.CONNECT: Failure.CONNECT,
    Reason.TIMEOUT: Failure.TIMEOUT,
    Reason.TLS: Failure.TLS,
    Reason.BAD_URL: Failure.UNSENDABLE,
    Reason.BAD_REQUEST: Failure.UNSENDABLE,
}

# The words that follow "The target answered 200, but".
_ODDITIES = {
    Reason.TIMEOUT: "the rest of the answer did not come in time",
    Reason.TRUNCATED: "the answer ended before it was complete",
    Reason.TOO_LARGE: "the answer is larger than this service reads",
    Reason.ENCODED: "the answer is not compressed as it says, or in a way that can't be read here",
    Reason.MALFORMED: "the rest of the answer is not valid HTTP",
}


def json_of(outgoing: Outgoing) -> object:
    """Return the event's data as a JSON value. Raises `ValueError` if the data is not JSON, or if its content type
    names another format.
    """
    kind, _, subtype = outgoing.content_type.partition(";")[0].strip().lower().partition("/")
    if kind and subtype != "json" and not subtype.endswith("+json"):
        raise ValueError
    value: object = read_json(outgoing.body, allow_inf_nan=False)
    return value


def marks(outgoing: Outgoing) -> dict[str, str]:
    """Return the headers that every request to a target has: its hops, its place in a trace if it has one, and a mark
    if it is a test.
    """
    given = {
        "traceparent": outgoing.traceparent,
        "tracestate": outgoing.tracestate or None,
        hops.HEADER: str(outgoing.hops),
        "hairtrigger-test": "true" if outgoing.is_test else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def text_of(outgoing: Outgoing) -> str | None:
    """Return the event's data as text, or None if its content type is not one of text or the data is not valid UTF-8.

    CloudEvents' JSON format holds text as a string (3.1.1).
    """
    if not media_of(outgoing.content_type).is_text:
        return None
    try:
        return outgoing.body.decode()
    except UnicodeDecodeError:
        return None


def request_attributes(outgoing: Outgoing) -> dict[str, str]:
    """Return the method, query and headers of the request that brought the event, as CloudEvents attributes.

    An attribute can't be an object, so the query and the headers are JSON texts. An empty query and empty headers are
    left out. There are no attributes if the request was not kept.
    """
    if outgoing.request is None:
        return {}
    kept = read_json(outgoing.request.encode())
    parts = {"requestquery": kept["query"], "requestheaders": kept["headers"]}
    return {"requestmethod": kept["method"], **{name: to_json(part).decode() for name, part in parts.items() if part}}


def unsuccessful(reply: Reply, now: datetime) -> Sent:
    """Return the result of an attempt that was answered with a status outside 2xx. It is `gone` for 410, and `failed`
    otherwise.
    """
    asked = reply.header("retry-after")
    return Sent(
        status="gone" if reply.status == HTTPStatus.GONE else "failed",
        response_status=reply.status,
        detail=f"The target answered {_named(reply.status)}.{aside(reply)}",
        retry_after=parse_retry_after(asked, now) if asked else None,
        failure=Failure.STATUS,
        response=reply.body[:KEPT],
    )


def oddity(reply: Reply) -> str | None:
    """Return what was wrong with the body of an answer whose status has come, or None if nothing was wrong.

    The words can follow "The target answered 200, but".
    """
    return _ODDITIES.get(reply.flaw, "the rest of the answer can't be read") if reply.flaw else None


def aside(reply: Reply) -> str:
    """Return a space and a sentence about what was odd in an answer that could be read all the same, or an empty text
    if nothing was odd.
    """
    return f" The server {' and '.join(reply.oddities)}; the answer was read all the same." if reply.oddities else ""


def unreachable(failure: EgressFailed) -> Sent:
    """Return the result of an attempt that got no answer, which is `failed`."""
    kind = _FAILURES.get(failure.reason, Failure.UNREADABLE)
    return Sent(status="failed", response_status=None, detail=failure.message, failure=kind)


def _named(status: int) -> str:
    if status in range(300, 400):
        return f"{status}; redirects are not followed, so give the address it redirects to"
    phrase = HTTPStatus(status).phrase if status in {known.value for known in HTTPStatus} else ""
    return f"{status} {phrase}".strip()
