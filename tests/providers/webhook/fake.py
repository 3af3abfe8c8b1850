"""Senders of requests to a webhook of any sender: a token, Standard Webhooks, and a digest of time and body."""

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime

from hairtrigger.conformance import Recorded
from hairtrigger.domain.event import Draft, digest


def _token(_: bytes, secret: str, __: datetime) -> Mapping[str, str]:
    return {"x-webhook-secret": secret, "content-type": "application/json", "webhook-id": "1"}


def _standard_webhook(body: bytes, secret: str, at: datetime) -> Mapping[str, str]:
    time = str(int(at.timestamp()))
    message = f"msg_1.{time}.".encode() + body
    signature = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), message, "sha256")
    return {
        "content-type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": time,
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }


def _sha512_of_time_and_body(body: bytes, secret: str, at: datetime) -> Mapping[str, str]:
    time = f"{int(at.timestamp())}000"
    signature = hmac.digest(secret.encode(), f"{time}:".encode() + body, "sha512")
    return {"x-time": time, "x-signature": "mac=" + base64.b64encode(signature).decode(), "content-type": "text/plain"}


RECORDED = (
    Recorded(
        "on_request",
        "7",
        body=b'{"id": 7, "amount": 1.0}',
        sign=_token,
        config={"scheme": "token", "event_id": "/id"},
        any_body=True,
    ),
    Recorded(
        "on_request",
        "msg_1",
        body=b'{"type": "door.opened"}',
        sign=_standard_webhook,
        config={"scheme": "standard_webhooks"},
        any_body=True,
    ),
    Recorded(
        "on_request",
        drafts=[
            Draft(
                key=digest("Tür auf".encode()),
                data="Tür auf".encode(),
                content_type="text/plain",
            )
        ],
        body="Tür auf".encode(),
        sign=_sha512_of_time_and_body,
        config={
            "scheme": "hmac",
            "header": "X-Signature",
            "algorithm": "sha512",
            "encoding": "base64",
            "prefix": "mac=",
            "signed": "{timestamp}:{body}",
            "timestamp_header": "X-Time",
            "timestamp_unit": "ms",
        },
        any_body=True,
    ),
)
