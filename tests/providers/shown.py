"""The providers that are tried against what other people made: a library, a server, or a schema of theirs.

One row each: by what, and the test that does it. `test_pages.py` checks that each test exists.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Level = Literal["shown", "schema-checked"]


class Shown(NamedTuple):
    level: Level
    by: str
    test: str


_PEERS = "tests/kit/test_peers.py::test_every_library_accepts_what_we_sign"
_BOTH = "tests/kit/test_peers.py::test_we_accept_what_the_libraries_sign_and_refuse_a_changed_byte"
_PYTHON = "tests/kit/test_verify.py::test_what_they_sign_we_accept_and_what_we_sign_they_accept"

_BACKLOT = "tests/providers/live/live_backlot.py::test_"


def _backlot(provider: str) -> Shown:
    return Shown("shown", "the server backlot answers (`./dev poe providers-live`)", f"{_BACKLOT}{provider}")


_BROKERS = (
    "tests/providers/brokers/test_brokers.py::test_a_worker_that_dies_with_its_commit_leaves_the_messages_to_the_next"
)


SHOWN: Mapping[str, Sequence[Shown]] = {
    "calcom": (Shown("shown", "nuxt-webhook-validators verifies", _PEERS),),
    "clerk": (Shown("shown", "@hookflo/tern verifies", _PEERS),),
    "confluence": (_backlot("confluence"),),
    "fireflies": (_backlot("fireflies"),),
    "github": (
        Shown("shown", "gidgethub verifies and signs", _PYTHON),
        Shown("shown", "@octokit/webhooks-methods verifies and signs", _BOTH),
        Shown(
            "shown",
            "the payloads of @octokit/webhooks-examples",
            "tests/providers/github/test_examples.py::test_every_payload_is_read",
        ),
    ),
    "gitlab": (Shown("shown", "nuxt-webhook-validators verifies", _PEERS),),
    "gmail": (
        Shown(
            "shown",
            "the server emulate answers",
            "tests/providers/gmail/test_emulated.py::test_mail_that_comes_in_is_an_event_once",
        ),
    ),
    "hubspot": (_backlot("hubspot"),),
    "jira": (_backlot("jira"),),
    "kafka": (Shown("shown", "the server Tansu brings messages", _BROKERS),),
    "linear": (
        Shown("shown", "@linear/sdk verifies", _PEERS),
        Shown(
            "shown",
            "the server emulate makes, signs and removes webhooks",
            "tests/providers/linear/test_linear.py::test_a_webhook_is_made_once_signed_and_removed_alone",
        ),
    ),
    "nats": (Shown("shown", "nats-server brings messages", _BROKERS),),
    "notion": (_backlot("notion"),),
    "postgresql": (
        Shown(
            "shown",
            "a PostgreSQL server that is stopped, cut off and started again",
            "tests/providers/postgresql/test_postgresql.py::test_rows_that_are_added_while_the_server_is_away_come_when_it_is_back",
        ),
    ),
    "redis": (Shown("shown", "the server Valkey brings messages", _BROKERS),),
    "resend": (
        Shown("shown", "nuxt-webhook-validators verifies", _PEERS),
        Shown("shown", "svix verifies and signs", _BOTH),
    ),
    "sentry": (Shown("shown", "@hookflo/tern verifies", _PEERS),),
    "shopify": (Shown("shown", "nuxt-webhook-validators and @hookflo/tern verify", _PEERS),),
    "slack": (
        Shown("shown", "slack-sdk verifies and signs", _PYTHON),
        Shown("shown", "nuxt-webhook-validators verifies", _PEERS),
    ),
    "stripe": (
        Shown("shown", "stripe-python verifies and signs", _PYTHON),
        Shown("shown", "@hookflo/tern verifies", _PEERS),
    ),
    "woocommerce": (Shown("shown", "@hookflo/tern verifies", _PEERS),),
    "webhook": (
        Shown("shown", "the libraries of many known senders verify and sign", _BOTH),
        Shown("shown", "standardwebhooks verifies and signs", _PYTHON),
    ),
}
