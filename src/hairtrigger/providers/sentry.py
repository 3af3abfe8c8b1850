"""Defines the provider Sentry. The user enters the trigger's URL in an internal integration, and the integration's
client secret in this service.

An integration has one URL for all that it listens to, so each trigger has an integration of its own. The key is the
digest of the body, because the id of a request is not signed. Sentry repeats no request, and waits only a second for
the answer. https://docs.sentry.io/organization/integrations/integration-platform/webhooks/
"""

from typing import Any

from hairtrigger import kit


def _sample(type_: str) -> Any:
    resource, _, action = type_.partition(".")
    issue = {"id": "1170820242", "shortId": "SHOP-1", "title": "The teapot leaks", "status": "unresolved"}
    parts: dict[str, Any] = {
        "event_alert": {"event": {"event_id": "e4874d664c3540c1a32eab185f12c5ab"}, "triggered_rule": "Leaks"},
        "metric_alert": {"metric_alert": {"id": "7"}, "description_title": "Many leaks"},
        "comment": {"comment": "On it.", "issue_id": 1170820242},
    }
    who = {"type": "application", "id": "sentry", "name": "Sentry"}
    body = {"action": action, "installation": {"uuid": "a8e5d37a-696c-4c54-adb5-b3f28d64c7de"}, "actor": who}
    return {**body, "data": parts.get(resource, {"issue": issue})}


def _on(type_: str, id_: str, name: str, description: str) -> kit.Webhook[kit.Empty]:
    family = kit.WebhookFamily(
        config=kit.Empty,
        sender=kit.SENDERS["sentry"],
        fields=kit.Fields(type=("header:sentry-hook-resource", "/action"), subject="/data/issue/id"),
        sample=_sample,
        instructions="In Sentry, under Settings, Custom integrations, make an internal integration with this trigger's "
        "URL as its webhook and the resource of its event. Then set the client secret as the trigger's secret.",
    )
    return family.on(type_, id_, name, description)


provider = kit.Provider(
    id="sentry",
    name="Sentry",
    icon="🐞",
    triggers=(
        _on("issue.created", "on_issue_created", "Issue created", "An error of a new kind was seen."),
        _on("issue.resolved", "on_issue_resolved", "Issue resolved", "An issue was resolved."),
        _on("issue.assigned", "on_issue_assigned", "Issue assigned", "An issue got an assignee."),
        _on("event_alert.triggered", "on_issue_alert", "Issue alert", "A rule for issues was met."),
        _on("metric_alert.critical", "on_metric_alert", "Metric alert", "A metric passed its critical threshold."),
        _on("comment.created", "on_comment_created", "Comment created", "A user commented on an issue."),
    ),
)
