"""Trello: webhooks of a token. https://developer.atlassian.com/cloud/trello/rest/api-group-webhooks/"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hairtrigger.providers.trello import provider
from tests.providers.hook_fake import HookFake, Kept, for_all, sampled, scheme_of

_CONFIG = {"board": "nC8QJJoZ"}
_BOARD = "4eea4ffc91e31d1746000046"


class Fake(HookFake):
    secrets = {"api_key": "right", "token": "ATTA-right", "app_secret": "s3cret-of-the-app"}
    configs = for_all(provider, **_CONFIG)
    collection, listing = "/1/webhooks", "/1/tokens/{token}/webhooks"
    scheme = scheme_of("trello")
    created = deleted = 200
    paged = False

    def authorized(self, request: Request) -> bool:
        own = request.path_params.get("token", "ATTA-right") == "ATTA-right"
        right = 'OAuth oauth_consumer_key="right", oauth_token="ATTA-right"'
        return own and request.headers.get("authorization") == right

    def taken(self, asked: Any) -> tuple[str, str | None]:
        assert asked["idModel"] == _BOARD
        if any(one.url == asked["callbackURL"] for one in self.kept):
            raise ValueError("A webhook with that callback, model, and token already exists")
        return asked["callbackURL"], "s3cret-of-the-app"

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        return {"id": hook.id, "idModel": _BOARD, "callbackURL": hook.url, "active": True, "consecutiveFailures": 0}

    def more(self) -> Sequence[BaseRoute]:
        async def board(request: Request) -> Response:
            if not self.authorized(request):
                return Response(b"invalid token", 401)
            return JSONResponse({"id": _BOARD})

        return [Route("/1/boards/nC8QJJoZ", board)]


_ACTION, _CARD = "51f9424bcd6e040f3c002412", "51f9277b2822b8654f0023af"
RECORDED = tuple(sampled(provider, one.id, _ACTION, _CARD, config=_CONFIG) for one in provider.triggers)
