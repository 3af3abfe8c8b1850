"""A target that is a workflow behind HTTP. Each attempt is one POST. It has a Standard Webhooks signature of the
delivery's id, the time and the body.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hairtrigger.domain.outcome import Failure
from hairtrigger.domain.target import Outgoing, Sent, WorkflowTarget
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.egress import Egress, EgressFailed, Reason
from hairtrigger.targets.answers import KEPT, aside, marks, oddity, unreachable, unsuccessful
from hairtrigger.targets.credentials import own_headers
from hairtrigger.targets.formats import Content, content_of
from hairtrigger.targets.template import TooLong


@dataclass(frozen=True)
class Workflow:
    config: WorkflowTarget
    egress: Egress
    clock: Clock
    signing_secrets: Sequence[str] = field(repr=False)
    """The secrets with which requests are signed. Each begins with `whsec_`. There are several while a new secret
    replaces an older one.
    """
    api_key: str | None = field(default=None, repr=False)

    _keys: Sequence[bytes] = field(init=False, repr=False)
    _own: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.signing_secrets:
            raise ValueError("A workflow target needs a signing secret.")
        keys = [base64.b64decode(secret.removeprefix("whsec_"), validate=True) for secret in self.signing_secrets]
        object.__setattr__(self, "_keys", keys)
        object.__setattr__(self, "_own", own_headers(self.config, self.api_key))

    async def send(self, outgoing: Outgoing) -> Sent:
        now = self.clock.now()
        try:
            content = content_of(self.config, outgoing)
            reply = await self.egress.send(
                "POST",
                self.config.url,
                headers=self.headers(outgoing, content, now),
                body=content.body,
                timeout=timedelta(seconds=self.config.timeout_seconds),
                max_bytes=KEPT,
                cut=True,
            )
        except TooLong as error:
            return Sent("failed", None, str(error.__doc__), failure=Failure.TOO_LONG)
        except EgressFailed as failure:
            return unreachable(failure)
        if reply.status not in range(200, 300):
            return unsuccessful(reply, now)
        wrong = None if reply.flaw is Reason.TOO_LARGE else oddity(reply)  # the beginning of a large answer is enough
        detail = f"The target answered {reply.status}{f', but {wrong}' if wrong else ''}.{aside(reply)}"
        return Sent("delivered", reply.status, detail, response=reply.body)

    def headers(self, outgoing: Outgoing, content: Content, now: datetime) -> dict[str, str]:
        """Return the headers of a request. If the user's own headers have the same name as one of the content, the
        signature or the marks, that one replaces the user's.
        """
        id_, seconds = str(outgoing.delivery_id), int(now.timestamp())
        signed = b"%b.%d.%b" % (id_.encode(), seconds, content.body)
        signature = {
            "webhook-id": id_,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(_signature(key, signed) for key in self._keys),
        }
        return {**self._own} | content.headers | signature | marks(outgoing)


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
