"""A workflow behind HTTP: each event is one POST, a CloudEvent with a Standard Webhooks signature.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic_core import to_json

from hairtrigger.domain.target import Outgoing, Sent, WorkflowTarget
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.egress import Egress, EgressFailed, Reason
from hairtrigger.targets.answers import KEPT, json_of, oddity, unreachable, unsuccessful

# The characters that CloudEvents forbids in its strings.
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


@dataclass(frozen=True)
class Workflow:
    config: WorkflowTarget
    egress: Egress
    clock: Clock
    signing_secrets: Sequence[str] = field(repr=False)
    """Each begins with `whsec_`. There are several while one replaces another."""
    api_key: str | None = field(default=None, repr=False)

    _keys: Sequence[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.signing_secrets:
            raise ValueError("A workflow target needs a signing secret.")
        keys = [base64.b64decode(secret.removeprefix("whsec_"), validate=True) for secret in self.signing_secrets]
        object.__setattr__(self, "_keys", keys)

    async def send(self, outgoing: Outgoing) -> Sent:
        now = self.clock.now()
        body = cloud_event(outgoing)
        try:
            reply = await self.egress.send(
                "POST",
                self.config.url,
                headers=self.config.headers | self._headers(outgoing, body, now),
                body=body,
                timeout=timedelta(seconds=self.config.timeout_seconds),
                max_bytes=KEPT,
                cut=True,
            )
        except EgressFailed as failure:
            return unreachable(failure)
        if reply.status not in range(200, 300):
            return unsuccessful(reply, now)
        wrong = None if reply.flaw is Reason.TOO_LARGE else oddity(reply)  # the beginning of a large answer is enough
        detail = f"The target answered {reply.status}{f', but {wrong}' if wrong else ''}."
        return Sent("delivered", reply.status, detail, response=reply.body)

    def _headers(self, outgoing: Outgoing, body: bytes, now: datetime) -> dict[str, str]:
        id_, seconds = str(outgoing.delivery_id), int(now.timestamp())
        signed = b"%b.%d.%b" % (id_.encode(), seconds, body)
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": id_,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(_signature(key, signed) for key in self._keys),
            "traceparent": outgoing.traceparent,
            "authorization": self.api_key and f"Bearer {self.api_key}",
        }
        return {name: value for name, value in headers.items() if value is not None}


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def cloud_event(outgoing: Outgoing) -> bytes:
    """Return the event in CloudEvents' JSON format. JSON data is copied byte for byte: 1.0 stays 1.0."""
    attributes = {
        "specversion": "1.0",
        "id": str(outgoing.event_id),
        "source": outgoing.source,
        "type": outgoing.type,
        "subject": outgoing.subject or None,
        "time": outgoing.time.astimezone(UTC).isoformat(),
        "datacontenttype": outgoing.content_type or None,
        "orgid": str(outgoing.org_id),
        "projectid": outgoing.project_id,
        "projecttriggerid": str(outgoing.project_trigger_id),
        "eventkey": outgoing.event_key,
        "deliveryid": str(outgoing.delivery_id),
        "attempt": outgoing.attempt,
        "replayof": str(outgoing.replay_of) if outgoing.replay_of else None,
        "traceparent": outgoing.traceparent,
    }
    given = {name: _text(value) for name, value in attributes.items() if value is not None}
    return to_json(given).removesuffix(b"}") + _data(outgoing) + b"}"


def _data(outgoing: Outgoing) -> bytes:
    if not outgoing.body:
        return b""
    try:
        json_of(outgoing)
    except ValueError:
        return b',"data_base64":"' + base64.b64encode(outgoing.body) + b'"'
    return b',"data":' + outgoing.body


def _text(value: str | int) -> str | int:
    if not isinstance(value, str) or (value.isascii() and value.isprintable()):
        return value
    return _NOT_TEXT.sub("\ufffd", value)
