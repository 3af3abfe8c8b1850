"""Cal.com: webhooks of a user. https://cal.com/docs/api-reference/v2/webhooks/create-a-webhook"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.calcom import provider
from tests.providers.hook_fake import HookFake, Kept, all_sampled, scheme_of


class Fake(HookFake):
    secrets = {"host": "api.cal.com", "api_key": "cal_live_right"}
    collection = "/v2/webhooks"
    scheme = scheme_of("calcom")
    deleted = 200

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer cal_live_right"

    def taken(self, asked: Any) -> tuple[str, str | None]:
        assert asked["active"] is True
        assert asked["triggers"]
        return asked["subscriberUrl"], asked["secret"]

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        return {"id": hook.id, "userId": 1, "triggers": ["BOOKING_CREATED"], "subscriberUrl": hook.url, "active": True}

    def made(self, hook: Kept) -> Any:
        return {"status": "success", "data": self.shown(hook)}

    def listed(self, shown: list[Any], request: Request) -> Any:
        skip, take = int(request.query_params.get("skip", 0)), int(request.query_params.get("take", 250))
        return {"status": "success", "data": self.after(shown, skip, take)[0]}


_UID = "bFJeNb2uX8ANpT3JL5EfXw"
_EVENTS = {
    "on_booking_created": "BOOKING_CREATED",
    "on_booking_rescheduled": "BOOKING_RESCHEDULED",
    "on_booking_cancelled": "BOOKING_CANCELLED",
    "on_booking_requested": "BOOKING_REQUESTED",
    "on_booking_paid": "BOOKING_PAID",
}
RECORDED = all_sampled(
    provider, [(trigger, f"{event}:{_UID}:2026-05-04T09:00:00Z", _UID) for trigger, event in _EVENTS.items()]
)
