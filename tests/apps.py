"""The apps that users ask for most, and the way in which each can start a workflow here.

`./dev poe app-coverage` prints the count and what is missing. A way counts only if a test that exists stands behind it.
The order is that of a ranking of what is used in other products of the kind, with the most used first.
"""

from collections import Counter
from typing import Literal

from hairtrigger.conformance.fakes import Unasked
from hairtrigger.kit.senders import SENDERS
from tests.providers.shown import SHOWN
from tests.providers.subjects import SUBJECTS
from tests.support.snippets import SNIPPETS
from tests.test_cases import exists

Way = Literal["native", "preset", "snippet"]

APPS = (
    *("slack", "google sheets", "google drive", "gmail", "google calendar", "hubspot", "stripe", "clickup", "telegram"),
    *("github", "pipedrive", "airtable", "twilio", "shopify", "jira", "notion", "trello", "salesforce", "outlook"),
    *(
        "linear",
        "zendesk",
        "gitlab",
        "jotform",
        "teams",
        "intercom",
        "asana",
        "mailchimp",
        "facebook",
        "rss",
        "calendly",
    ),
    *("imap", "whatsapp", "webflow", "woocommerce", "calcom", "youtube", "discord", "google forms", "lemlist"),
    *("postgresql", "typeform", "onedrive", "s3", "todoist", "gravityforms", "surveymonkey", "zoom", "box"),
    *("activecampaign", "monday", "ghost", "zoho crm", "google contacts", "google tasks", "figma", "confluence"),
    *("dropbox", "fireflies", "netlify", "mongodb", "chargebee", "toggl", "mysql", "acuity", "wordpress", "coda"),
    *("eventbrite", "attio", "sendgrid", "copper", "mqtt", "helpscout", "brevo", "xero", "quickbooks", "baserow"),
    *("bitbucket", "greenhouse", "postmark", "gumroad", "sharepoint lists", "strava", "smartsheet", "pandadoc"),
    *("sqs", "pagerduty", "close", "ashby", "vercel", "front", "square", "microsoft todo", "sentry", "freshdesk"),
    *("gcp pubsub", "excel", "clockify", "azure devops", "supabase", "sftp", "tally", "rabbitmq", "paypal", "line"),
    "instagram",
)
# Names under which providers and senders know an app.
OTHER_NAMES = {
    "teams": ("microsoft_teams",),
    "outlook": ("microsoft_outlook", "microsoft_graph"),
    "onedrive": ("microsoft_graph",),
    "microsoft todo": ("microsoft_graph",),
    "facebook": ("meta",),
    "whatsapp": ("meta",),
    "instagram": ("meta",),
}
_PRESET = "tests/kit/test_peers.py::test_our_signer_and_our_verifier_agree_about_every_sender"
_SNIPPET = "tests/sandbox/test_snippets.py::test_a_snippet_returns_the_events_of_an_answer"
_NATIVE = "tests/providers/test_contract.py::test_a_provider_keeps_the_rule"


def ways() -> dict[str, Way | None]:
    """Return the best way of each app, or None if there is none."""
    native = {
        one.provider.id for one in SUBJECTS if one.recorded or one.fake is not Unasked or one.provider.id in SHOWN
    }
    presets = set(SENDERS) if exists(_PRESET) else set()
    snippets = {one.app for one in SNIPPETS} if exists(_SNIPPET) else set()
    return {app: _way(app, native if exists(_NATIVE) else set(), presets, snippets) for app in APPS}


def _way(app: str, native: set[str], presets: set[str], snippets: set[str]) -> Way | None:
    names = {app.replace(" ", "_"), *OTHER_NAMES.get(app, ())}
    if names & native:
        return "native"
    if names & presets:
        return "preset"
    return "snippet" if names & snippets else None


def apps_document() -> str:
    """Return the page on apps, with the way in which each can start a workflow."""
    found = ways()
    counts = Counter(way for way in found.values() if way)
    rows = "\n".join(f"| {app} | {way or ''} |" for app, way in found.items())
    return f"""# Apps that can start a workflow

<!-- Written by ./dev poe docs. -->

{sum(counts.values())} of the {len(found)} apps that are used most in products of this kind can start a workflow.
The most used ones come first. **native**: a [provider](providers/README.md) with its own triggers. **preset**: a
[known sender](webhooks.md) of requests to the provider Webhook. **snippet**: [polling code](polling-snippets.md) for a
trigger of one's own integration. Each way has tests. Every other app that can send a request with a proof, or answer
one, can be connected by hand.

| app | way |
|---|---|
{rows}
"""


def report() -> str:
    found = ways()
    counts = Counter(way for way in found.values() if way)
    lines = [
        f"{sum(counts.values())} of {len(found)} apps: " + ", ".join(f"{n} {way}" for way, n in counts.most_common())
    ]
    for way in ("native", "preset", "snippet", None):
        named = ", ".join(app for app, one in found.items() if one == way)
        lines.append(f"{way or 'missing'}: {named}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
