"""ClickUp: webhooks of a workspace. https://developer.clickup.com/reference/createwebhook"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.clickup import provider
from tests.providers.hook_fake import HookFake, Kept, all_sampled, for_all, sampled, scheme_of


class Fake(HookFake):
    secrets = {"api_token": "pk_1_RIGHT"}
    configs = for_all(provider, team_id="9012345678")
    collection, single = "/api/v2/team/9012345678/webhook", "/api/v2/webhook/{id}"
    created = deleted = 200
    scheme = scheme_of("clickup")

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "pk_1_RIGHT"

    def taken(self, asked: Any) -> tuple[str, str | None]:
        assert isinstance(asked["events"], list)
        return asked["endpoint"], self.chosen_secret()

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        health = {"status": "active", "fail_count": 0}
        return {"id": hook.id, "userid": 1, "team_id": 9012345678, "endpoint": hook.url, "health": health}

    def made(self, hook: Kept) -> Any:
        return {"id": hook.id, "webhook": {**self.shown(hook), "secret": hook.secret}}

    def listed(self, shown: list[Any], request: Request) -> Any:
        return {"webhooks": shown}

    paged = False


_CHANGE, _TASK = "3601234567890123456", "86abc123"
_CHANGES = ("on_task_created", "on_task_status_changed", "on_task_assigned", "on_comment_posted", "on_task_updated")
RECORDED = (
    *all_sampled(provider, [(one, _CHANGE, _TASK) for one in _CHANGES], config=Fake.configs["on_task_created"]),
    sampled(provider, "on_task_deleted", _TASK, _TASK, at=None, config=Fake.configs["on_task_created"]),
)
