"""All payloads of GitHub's own project @octokit/webhooks-examples pass unchanged to the triggers that want them."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from hairtrigger.domain.event import digest
from hairtrigger.providers.github import provider
from tests.providers.asking import arrived, events
from tests.providers.github.fake import signed
from tests.support.node import installed

EXAMPLES = "@octokit/webhooks-examples@7.6.1"
SECRET = "a secret of the app"

# Which payloads a trigger wants, said again from GitHub's documentation.
WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "on_push": ("push", lambda one: not one["deleted"]),
    "on_issue_opened": ("issues", lambda one: one["action"] == "opened"),
    "on_issue_comment_created": ("issue_comment", lambda one: one["action"] == "created"),
    "on_pull_request_opened": ("pull_request", lambda one: one["action"] == "opened"),
    "on_pull_request_merged": (
        "pull_request",
        lambda one: one["action"] == "closed" and one["pull_request"]["merged"],
    ),
    "on_release_published": ("release", lambda one: one["action"] == "published"),
    "on_star_created": ("star", lambda one: one["action"] == "created"),
    "on_workflow_run_completed": ("workflow_run", lambda one: one["action"] == "completed"),
}


@cache
def payloads() -> list[tuple[str, Any]]:
    """Return all payloads with the names of their events."""
    file = installed(EXAMPLES) / "node_modules" / "@octokit" / "webhooks-examples" / "api.github.com" / "index.json"
    return [(event["name"], payload) for event in json.loads(file.read_text()) for payload in event["examples"]]


def test_every_payload_is_read() -> None:
    assert provider.app
    assert len(payloads()) == 329
    for event, payload in payloads():
        body = json.dumps(payload).encode()
        request = arrived(body, signed(body, SECRET, event))
        provider.app.verify(request, [SECRET])
        named = {f"{kind}:{payload[kind]['id']}" for kind in ("installation", "repository") if payload.get(kind)}
        assert set(provider.app.accounts(request)) == named
        for trigger in provider.triggers:
            of, wanted = WANTED[trigger.id]
            found = events(trigger, request, {"repository": "octocat/Hello-World"})
            expected = [(digest(body), body)] if of == event and wanted(payload) else []
            assert [(one.key, one.data) for one in found] == expected, (trigger.id, event, payload.get("action"))


def test_the_payloads_hold_one_for_every_trigger_but_a_merge() -> None:
    wanting = {
        trigger
        for trigger, (event, wanted) in WANTED.items()
        if any(name == event and wanted(payload) for name, payload in payloads())
    }

    assert set(WANTED) - wanting == {"on_pull_request_merged"}
