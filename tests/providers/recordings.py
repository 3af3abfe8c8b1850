"""Requests as their providers' documentation shows them, and the events that they must become."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hairtrigger.domain.event import Draft
from hairtrigger.kit.verify import Verifier
from tests.providers.asking import NOW, provider, trigger
from tests.providers.github import fake as github
from tests.providers.slack import fake as slack
from tests.providers.stripe import fake as stripe
from tests.providers.typeform import fake as typeform

_FOLDER = Path(__file__).parent
_SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
_OTHER = "whsec_" + base64.b64encode(b"76543210fedcba9876543210").decode()

Sign = Callable[[bytes, str], Mapping[str, str]]


@dataclass(frozen=True)
class Recorded:
    """A request for one trigger, the way in which its sender signs, and the events that it must become."""

    provider: str
    trigger: str
    body: bytes = field(repr=False)
    sign: Sign
    expected: tuple[Draft, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    timed: bool = False  # whether the signature covers the time
    signs_body: bool = True
    secret: str = _SECRET
    other_secret: str = _OTHER

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.trigger}" + "".join(f"-{value}" for value in self.config.values())[:20]

    @property
    def verifier(self) -> Verifier:
        definition = trigger(self.provider, self.trigger)
        app = provider(self.provider).app
        if app:
            return app.verify
        chosen: Verifier = definition.verifier(definition.config.model_validate(self.config))
        return chosen


def _body(provider_id: str, trigger_id: str) -> bytes:
    return (_FOLDER / provider_id / "recorded" / f"{trigger_id}.json").read_bytes()


def _stripe(trigger_id: str, key: str, subject: str, created: int) -> Recorded:
    body = _body("stripe", trigger_id)
    expected = Draft(key=key, data=body, subject=subject, occurred_at=datetime.fromtimestamp(created, UTC))
    return Recorded(
        "stripe", trigger_id, body, lambda body, secret: stripe.signed(body, secret, NOW), (expected,), timed=True
    )


def _github(trigger_id: str, event: str) -> Recorded:
    body = _body("github", trigger_id)
    key = "sha256:" + hashlib.sha256(body).hexdigest()
    expected = Draft(key=key, data=body, subject="octocat/Hello-World")
    config = {"repository": "octocat/Hello-World"}
    return Recorded(
        "github", trigger_id, body, lambda body, secret: github.signed(body, secret, event), (expected,), config
    )


def _slack(trigger_id: str, key: str) -> Recorded:
    body = _body("slack", trigger_id)
    at = datetime(2018, 1, 8, 22, 11, 23, tzinfo=UTC)
    expected = Draft(key=key, data=body, subject="C123ABC456", occurred_at=at)
    return Recorded(
        "slack", trigger_id, body, lambda body, secret: slack.signed(body, secret, NOW), (expected,), timed=True
    )


def _typeform() -> Recorded:
    body = _body("typeform", "on_form_submitted")
    expected = Draft(
        key="LtWXD3crgy",
        data=body,
        subject="a3a12ec67a1365927098a606107fac15",
        occurred_at=datetime(2018, 1, 18, 18, 17, 2, tzinfo=UTC),
    )
    return Recorded("typeform", "on_form_submitted", body, typeform.signed, (expected,), {"form_id": "lT4Z3j"})


def _standard_webhook(body: bytes, secret: str) -> Mapping[str, str]:
    time = str(int(NOW.timestamp()))
    message = f"msg_1.{time}.".encode() + body
    signature = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), message, "sha256")
    return {
        "content-type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": time,
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }


def _sha512_of_time_and_body(body: bytes, secret: str) -> Mapping[str, str]:
    time = f"{int(NOW.timestamp())}000"
    signature = hmac.digest(secret.encode(), f"{time}:".encode() + body, "sha512")
    return {"x-time": time, "x-signature": "mac=" + base64.b64encode(signature).decode(), "content-type": "text/plain"}


_WEBHOOKS = (
    Recorded(
        "webhook",
        "on_request",
        b'{"id": 7, "amount": 1.0}',
        lambda _, secret: {"x-webhook-secret": secret, "content-type": "application/json", "webhook-id": "1"},
        (Draft(key="7", data=b'{"id": 7, "amount": 1.0}'),),
        {"scheme": "token", "event_id": "/id"},
        signs_body=False,
    ),
    Recorded(
        "webhook",
        "on_request",
        b'{"type": "door.opened"}',
        _standard_webhook,
        (Draft(key="msg_1", data=b'{"type": "door.opened"}'),),
        {"scheme": "standard_webhooks"},
        timed=True,
    ),
    Recorded(
        "webhook",
        "on_request",
        "Tür auf".encode(),
        _sha512_of_time_and_body,
        (
            Draft(
                key="sha256:" + hashlib.sha256("Tür auf".encode()).hexdigest(),
                data="Tür auf".encode(),
                content_type="text/plain",
            ),
        ),
        {
            "scheme": "hmac",
            "header": "X-Signature",
            "algorithm": "sha512",
            "encoding": "base64",
            "prefix": "mac=",
            "signed": "{timestamp}:{body}",
            "timestamp_header": "X-Time",
            "timestamp_unit": "ms",
        },
        timed=True,
    ),
)

RECORDED = (
    *_WEBHOOKS,
    _stripe("on_customer_created", "evt_1NG8Du2eZvKYlo2CUI79vXWy", "cus_9s6XKzkNRiz8i3", 1686089970),
    _stripe("on_payment_succeeded", "evt_3NG8Du2eZvKYlo2C1uXvXWyz", "pi_3MtwBwLkdIwHu7ix28a3tqPa", 1686089971),
    _stripe("on_invoice_paid", "evt_1NG8Du2eZvKYlo2CinvPaid1", "in_1MtHbELkdIwHu7ixl4OzzPMv", 1686089972),
    _stripe("on_invoice_payment_failed", "evt_1NG8Du2eZvKYlo2CinvFail1", "in_1MtHbELkdIwHu7ixl4OzzPMw", 1686089973),
    _stripe("on_subscription_created", "evt_1NG8Du2eZvKYlo2CsubCrea1", "sub_1MowQVLkdIwHu7ixeRlqHVzs", 1686089974),
    _stripe("on_subscription_updated", "evt_1NG8Du2eZvKYlo2CsubUpda1", "sub_1MowQVLkdIwHu7ixeRlqHVzs", 1686089975),
    _stripe("on_subscription_deleted", "evt_1NG8Du2eZvKYlo2CsubDele1", "sub_1MowQVLkdIwHu7ixeRlqHVzs", 1686089976),
    _stripe(
        "on_checkout_completed",
        "evt_1NG8Du2eZvKYlo2CcheComp1",
        "cs_test_a11YYufWQzNY63zpQ6QSNRQhkUpVph4WRmzW0zWJO2znZKdVujZ0N0S22u",
        1686089977,
    ),
    _typeform(),
    _github("on_push", "push"),
    _github("on_issue_opened", "issues"),
    _github("on_issue_comment_created", "issue_comment"),
    _github("on_pull_request_opened", "pull_request"),
    _github("on_pull_request_merged", "pull_request"),
    _github("on_release_published", "release"),
    _github("on_star_created", "star"),
    _github("on_workflow_run_completed", "workflow_run"),
    _slack("on_message_received", "Ev0PV52K21"),
    _slack("on_app_mention", "Ev0PV52K25"),
    _slack("on_reaction_added", "Ev0PV52K26"),
)
