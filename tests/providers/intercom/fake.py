"""Intercom: the workspace of a token, and notifications. https://developers.intercom.com/docs/webhooks"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request

from hairtrigger.conformance import Recorded
from hairtrigger.providers.intercom import provider
from tests.providers.hook_fake import NOON, scheme_of, signed
from tests.providers.list_fake import ListFake


class Fake(ListFake):
    secrets = {"host": "api.intercom.io", "token": "right"}

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        raise NotImplementedError

    def answered(self, request: Request, asked: Any) -> Any:
        assert request.url.path == "/me"
        return {"type": "admin", "id": "1", "app": {"type": "app", "id_code": "abc123", "name": "Acme"}}

    def signed(self, body: bytes, secret: str, at: datetime) -> Mapping[str, str]:
        return signed(scheme_of("intercom"), body, secret, at)


_TOPICS = {
    "on_conversation_started": "conversation.user.created",
    "on_user_replied": "conversation.user.replied",
    "on_admin_replied": "conversation.admin.replied",
    "on_conversation_closed": "conversation.admin.closed",
    "on_user_created": "contact.user.created",
    "on_lead_created": "contact.lead.created",
    "on_ticket_created": "ticket.created",
}


def _body(topic: str) -> bytes:
    data = {"type": "notification_event_data", "item": {"type": topic.partition(".")[0], "id": "147"}}
    told = {"type": "notification_event", "id": "notif_ccd8a4d0", "app_id": "abc123", "topic": topic}
    return json.dumps({**told, "delivery_attempts": 1, "created_at": int(NOON.timestamp()), "data": data}).encode()


assert {one.id for one in provider.triggers} == set(_TOPICS)
RECORDED = tuple(Recorded(one, "notif_ccd8a4d0", "147", NOON, body=_body(topic)) for one, topic in _TOPICS.items())
