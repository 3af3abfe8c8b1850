"""Calendly: webhook subscriptions. https://developer.calendly.com/api-docs/c1ddc06ce1f1b-create-webhook-subscription"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hairtrigger.providers.calendly import provider
from tests.providers.hook_fake import HookFake, Kept, all_sampled, scheme_of

_USER, _ORGANIZATION = "https://api.calendly.com/users/AAA", "https://api.calendly.com/organizations/BBB"


class Fake(HookFake):
    secrets = {"token": "right"}
    collection = "/webhook_subscriptions"
    scheme = scheme_of("calendly")
    one_per_url = True

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer right"

    def taken(self, asked: Any) -> tuple[str, str | None]:
        assert asked["organization"] == _ORGANIZATION
        assert (asked["scope"], asked.get("user")) in {("user", _USER), ("organization", None)}
        assert asked["events"]
        return asked["url"], asked["signing_key"]

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        uri = f"https://api.calendly.com/webhook_subscriptions/{hook.id}"
        return {"uri": uri, "callback_url": hook.url, "state": "active", "events": ["invitee.created"], "scope": "user"}

    def made(self, hook: Kept) -> Any:
        return {"resource": self.shown(hook)}

    def listed(self, shown: list[Any], request: Request) -> Any:
        assert request.query_params["organization"] == _ORGANIZATION
        assert request.query_params["scope"] in {"user", "organization"}
        start = int(request.query_params.get("page_token", 0))
        page, following = self.after(shown, start, int(request.query_params["count"]))
        token = None if following is None else str(following)
        return {"collection": page, "pagination": {"count": len(page), "next_page_token": token}}

    def more(self) -> Sequence[BaseRoute]:
        async def me(request: Request) -> Response:
            if not self.authorized(request):
                return JSONResponse({"title": "Unauthenticated", "message": "The access token is invalid"}, 401)
            return JSONResponse({"resource": {"uri": _USER, "current_organization": _ORGANIZATION, "name": "Ada"}})

        return [Route("/users/me", me)]


_INVITEE = "https://api.calendly.com/scheduled_events/4d1c/invitees/7b2e"
_EVENTS = {
    "on_event_booked": "invitee.created",
    "on_event_canceled": "invitee.canceled",
    "on_no_show_marked": "invitee_no_show.created",
    "on_routing_form_submitted": "routing_form_submission.created",
}
RECORDED = all_sampled(provider, [(trigger, f"{event}:{_INVITEE}", _INVITEE) for trigger, event in _EVENTS.items()])
