"""Defines the provider GitLab, on gitlab.com or on a server of one's own. Each trigger has a project hook of its own.

The key is the id that all attempts to deliver an event share (`webhook-id`, which is signed, or `Idempotency-Key`). A
server older than 17.4 sends no such id, so the key of its events is made from the body.
https://docs.gitlab.com/user/project/integrations/webhooks/
"""

from typing import Any

from pydantic import Field

from hairtrigger import kit


class Project(kit.Config):
    project: str = Field(
        pattern=r"^[\w.-]+(/[\w.-]+)*$",
        title="Project",
        description="The project's number, or its path with its groups.",
        examples=["acme/web/shop"],
    )
    signed: bool = Field(
        default=False,
        title="Signed deliveries",
        description="The server signs what it sends. gitlab.com does; an older server does not, and can't be enabled.",
    )


def _scheme(config: Project) -> kit.Verifier:
    return kit.SENDERS["gitlab_signed" if config.signed else "gitlab"].verify


class Hooks(kit.Hooks[Project]):
    """The subscription by a project hook. https://docs.gitlab.com/api/project_webhooks/#add-a-webhook-to-a-project"""

    async def secret_of(self, question: kit.Question[Project], answer: Any, id_: str, secret: str) -> str:
        if question.config.signed and not (isinstance(answer, dict) and answer.get("signing_token_present")):
            await self.drop(question, id_)
            raise kit.InvalidConfig(
                None, kit.Issue(("signed",), "This server does not sign what it sends. Leave 'Signed deliveries' off.")
            )
        return await super().secret_of(question, answer, id_, secret)


def _hooks(flag: str) -> Any:
    def body(config: Project, url: str, secret: str) -> dict[str, Any]:
        proof = {"signing_token": secret} if config.signed else {"token": secret}
        return {"url": url, "name": "hairtrigger", "push_events": False, flag: True, **proof}

    return Hooks("projects/{project}/hooks", body, paging=kit.Numbered())


def _on(kind: str, flag: str, key: tuple[str, ...], id_: str, name: str, description: str) -> kit.Webhook[Project]:
    family = kit.WebhookFamily(
        config=Project,
        sender=kit.SENDERS["gitlab"],
        verify=kit.ByConfig(_scheme),
        subscription=lambda _: _hooks(flag),
        fields=kit.Fields(
            ids=("header:webhook-id", "header:idempotency-key"),
            key=("/object_kind", *key),
            type=("/object_kind", "/object_attributes/action"),
            subject="/project/path_with_namespace",
        ),
        sample=_sample,
    )
    return family.on(kind, id_, name, description)


def _sample(kind: str) -> Any:
    """Return an example of an event of the kind. https://docs.gitlab.com/user/project/integrations/webhook_events/"""
    project = {"id": 7, "name": "shop", "path_with_namespace": "acme/shop", "default_branch": "main"}
    event = {"object_kind": kind.partition(".")[0], "user": {"id": 1, "name": "Ada"}, "project": project}
    if kind == "push":
        return {**event, "ref": "refs/heads/main", "before": "95790bf8", "after": "da1560886", "commits": []}
    action = {"action": kind.partition(".")[2]} if "." in kind else {"status": "success"}
    thing = {"id": 301, "iid": 23, "title": "A title", "updated_at": "2026-05-01 12:00:00 UTC", **action}
    return {**event, "object_attributes": thing, "id": 12, "name": "v1.0", "action": "create"}


_THING = ("/object_attributes/id", "/object_attributes/action")

provider = kit.Provider(
    id="gitlab",
    name="GitLab",
    icon="🦊",
    base_url="https://{host}/api/v4/",
    auth=kit.KeyHeader("private-token", "token"),
    guide="Make a project, group or personal access token with the scope api, whose user is a maintainer of the "
    "project. The host is gitlab.com, or that of your own server.",
    labels={"host": "Host", "token": "Access token"},
    check=lambda api: api.get("user"),
    triggers=(
        _on("push", "push_events", ("/ref", "/before", "/after"), "on_push", "Push", "Commits were pushed."),
        _on("merge_request.open", "merge_requests_events", _THING, "on_merge_request_opened", "Merge request opened",
            "A merge request was opened."),
        _on("merge_request.merge", "merge_requests_events", _THING, "on_merge_request_merged", "Merge request merged",
            "A merge request was merged."),
        _on("issue.open", "issues_events", _THING, "on_issue_opened", "Issue opened", "An issue was opened."),
        _on("note.create", "note_events", _THING, "on_comment_created", "Comment created",
            "A user commented on a commit, a merge request, an issue or a snippet."),
        _on("pipeline", "pipeline_events", ("/object_attributes/id", "/object_attributes/status"),
            "on_pipeline_changed", "Pipeline changed", "A pipeline got another status: it began, failed, or passed."),
        _on("release", "releases_events", ("/id", "/action"), "on_release", "Release", "A release was made."),
    ),
)  # fmt: skip
