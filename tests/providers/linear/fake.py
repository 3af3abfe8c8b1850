"""Linear: webhooks by GraphQL, as in the schema of npm @linear/sdk. https://linear.app/developers/webhooks"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from hairtrigger.kit.verify import Hmac
from hairtrigger.providers.linear import provider
from tests.providers.graphql_fake import Field, GraphqlFake
from tests.providers.hook_fake import sampled


class Fake(GraphqlFake):
    secrets = {"api_key": "lin_api_right"}
    scheme = Hmac("Linear-Signature")  # of the body, which holds the time

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "lin_api_right"

    def fields(self) -> Mapping[str, Field]:
        return {
            "webhookCreate": lambda asked: self._create(asked["input"]),
            "webhookDelete": lambda asked: self._delete(asked["id"]),
            "webhooks": lambda asked: self.connection([self.shown(one) for one in self.kept], asked["after"]),
            "viewer": lambda _: {"id": "u1"},
        }

    def _create(self, asked: Mapping[str, Any]) -> Any:
        assert set(asked) <= {"url", "resourceTypes", "secret", "label", "teamId", "allPublicTeams", "enabled", "id"}
        assert ("teamId" in asked) != bool(asked.get("allPublicTeams"))
        hook = self.add(asked["url"], asked["secret"], asked)
        return {"success": True, "webhook": {"id": hook.id, "enabled": True}}

    def _delete(self, id_: str) -> Any:
        self.kept.remove(self.found(id_))
        return {"success": True}


_ID = "2174add1-f7c8-44e3-bbf3-2d60b5ea8bc9"
_KEYS = {one.id: _ID for one in provider.triggers} | {"on_issue_updated": f"{_ID}:2026-05-01T12:00:00.000Z"}
RECORDED = tuple(sampled(provider, trigger, key, _ID, timed=False) for trigger, key in _KEYS.items())
