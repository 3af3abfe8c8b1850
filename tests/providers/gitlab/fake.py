"""GitLab: hooks of a project. https://docs.gitlab.com/api/project_webhooks/"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.gitlab import provider
from tests.providers.hook_fake import HookFake, Kept, for_all, sampled, scheme_of, signed

_CONFIG = {"project": "acme/web/shop"}
_FLAGS = {"push_events", "merge_requests_events", "issues_events", "note_events", "pipeline_events", "releases_events"}


class Fake(HookFake):
    secrets = {"host": "gitlab.com", "token": "glpat-right"}
    configs = for_all(provider, **_CONFIG)
    collection = "/api/v4/projects/acme/web/shop/hooks"  # Starlette decodes the %2F between the groups
    scheme = scheme_of("gitlab")
    signs = True  # whether the server is new enough to sign

    def authorized(self, request: Request) -> bool:
        return request.headers.get("private-token") == "glpat-right"

    def taken(self, asked: Any) -> tuple[str, str | None]:
        assert sum(asked.get(flag, flag == "push_events") for flag in _FLAGS) == 1, "one kind of event a hook"
        return asked["url"], asked.get("token") or (asked["signing_token"] if self.signs else None)

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        flags = {flag: hook.asked.get(flag, flag == "push_events") for flag in _FLAGS}
        tokens = {"token_present": "token" in hook.asked}
        signing = {"signing_token_present": "signing_token" in hook.asked} if self.signs else {}
        return {"id": int(hook.id), "url": hook.url, "project_id": 7, **flags, **tokens, **signing}

    def listed(self, shown: list[Any], request: Request) -> Any:
        return self.numbered(shown, request)


def by_webhook_id(body: bytes, secret: str, at: datetime) -> Mapping[str, str]:
    return {**signed(scheme_of("gitlab_signed"), body, secret, at), "idempotency-key": "msg_1"}


_SUBJECT = "acme/shop"
_KEYS = {
    "on_push": "push:refs/heads/main:95790bf8:da1560886",
    "on_merge_request_opened": "merge_request:301:open",
    "on_merge_request_merged": "merge_request:301:merge",
    "on_issue_opened": "issue:301:open",
    "on_comment_created": "note:301:create",
    "on_pipeline_changed": "pipeline:301:success",
    "on_release": "release:12:create",
}
RECORDED = (
    *(sampled(provider, trigger, key, _SUBJECT, at=None, config=_CONFIG) for trigger, key in _KEYS.items()),
    sampled(provider, "on_push", "9b1c", _SUBJECT, at=None, config=_CONFIG, headers={"idempotency-key": "9b1c"}),
    sampled(provider, "on_push", "msg_1", _SUBJECT, at=None, config={**_CONFIG, "signed": True}, sign=by_webhook_id),
)
