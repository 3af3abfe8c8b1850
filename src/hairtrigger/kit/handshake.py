"""Handshakes: the questions that providers ask a webhook, and the answers to them.

Each function returns the answer, or None if the request is an ordinary one. Text of the sender is sent back only as
plain text, never as a page, and at most 4 KiB of it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from hairtrigger.domain.errors import Rejected
from hairtrigger.domain.json_reader import read_json
from hairtrigger.kit.incoming import Request

_LONGEST = 4096
_TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """The answer to a handshake. Its `headers` keep browsers from guessing the content type."""

    status: int = 200
    content_type: str = _TEXT
    body: bytes = b""

    @property
    def headers(self) -> Mapping[str, str]:
        return {"content-type": self.content_type, "x-content-type-options": "nosniff"}


def slack_url_verification(request: Request) -> Answer | None:
    """Answer Slack's question, which is signed like every request: call this only after `SLACK` has returned.

    https://docs.slack.dev/reference/events/url_verification
    """
    if b"url_verification" not in request.body:  # so most requests are parsed once, not twice
        return None
    try:
        message = read_json(request.body)
    except ValueError:
        return None  # the provider's parser reports the fault
    if not isinstance(message, dict) or message.get("type") != "url_verification":
        return None
    return _echo(message.get("challenge"))


def github_ping(request: Request) -> Answer | None:
    """Answer the first request of a new webhook, which is signed and is no event of any trigger.

    https://docs.github.com/en/webhooks/webhook-events-and-payloads#ping
    """
    return Answer(body=b"pong") if request.headers.get("x-github-event") == "ping" else None


def graph_validation(request: Request) -> Answer | None:
    """Answer a question that is never signed and carries no events: call this before the signature is checked.

    https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks
    """
    tokens = request.query("validationToken")
    if not tokens:
        return None
    return _echo(tokens[0] if len(tokens) == 1 else None)


def _echo(challenge: object) -> Answer:
    if not isinstance(challenge, str) or not challenge:
        raise Rejected("The challenge is missing, or is not a text.")
    try:
        body = challenge.encode()
    except UnicodeEncodeError:
        raise Rejected("The challenge is not Unicode text.") from None
    if len(body) > _LONGEST:
        raise Rejected(f"The challenge is longer than {_LONGEST} bytes.")
    return Answer(body=body)
