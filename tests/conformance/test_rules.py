"""Each rule of the contract suite holds for a small provider, and is broken by a fault that providers have had."""

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from hairtrigger.conformance import cases, declarations, polls, pushes, scaffold, subject, subscriptions
from hairtrigger.conformance.scaffold import Kind

FIRST_PAGE = """
class First(kit.Numbered):
    def following(self, asked, answer, items):
        return None
"""
HOOKS = """
class Changed(kit.Hooks):
    async def create(self, question, url, secret):
        {create}

    async def remove(self, question, url):
        {remove}


def _hooks(event_type: str)"""
MADE = 'await question.api.post("v1/webhooks", self.body(question.config, url, secret))'
RIGHT = "return await super().create(question, url, secret)"
GONE = "await super().remove(question, url)"
POLL = """
from pydantic_core import to_json


async def _poll(question):
    {poll}


provider = kit.Provider("""
AFTER = """
    cursor = question.cursor or {{"newest": "2026-05-01T12:00:00+00:00"}}
    answer = await question.api.get("v1/orders", {{"since": cursor["newest"]}})
    things = [one for one in ORDERS.drafts(answer["data"]) if one.occurred_at.isoformat() {than} cursor["newest"]]
    newest = max([cursor["newest"], *(one.occurred_at.isoformat() for one in things)])
    return kit.Page(things, {{"newest": newest}})"""


def changed(kind: Kind, *changes: tuple[str, str]) -> tuple[Kind, tuple[tuple[str, str], ...]]:
    return kind, changes


def hooks(create: str = RIGHT, remove: str = GONE) -> tuple[Kind, tuple[tuple[str, str], ...]]:
    text = HOOKS.replace("{create}", create).replace("{remove}", remove)
    return changed("webhook", ("\ndef _hooks(event_type: str)", text), ("return kit.Hooks(", "return Changed("))


def poll(text: str) -> tuple[Kind, tuple[tuple[str, str], ...]]:
    return changed(
        "polling",
        ("\nprovider = kit.Provider(", POLL.replace("{poll}", text.strip())),
        ("poll=kit.Listed(", "poll=_poll if True else kit.Listed("),
    )


LISTED = "page = await LISTED(question)"
POLLED = (
    '\nLISTED = kit.Listed("v1/orders", ORDERS, lambda since: {"since": since.isoformat()}, late=timedelta(minutes=2), '
    'items="/data", paging=kit.PageToken("after", "/next"))\n\nprovider = kit.Provider('
)


def wrapped(text: str) -> tuple[Kind, tuple[tuple[str, str], ...]]:
    """Return a provider whose poll changes the page that is right."""
    kind, changes = poll(f"page = await LISTED(question)\n    {text}")
    return kind, (*changes, ("\nprovider = kit.Provider(", POLLED))


FAULTS: dict[str, tuple[tuple[Kind, tuple[tuple[str, str], ...]], set[str]]] = {
    "an id in capitals": (changed("webhook", ('id="ID"', 'id="Acme"')), {"has_a_name_and_an_icon"}),
    "no request is recorded": (
        changed("webhook", ("RECORDED = ", "RECORDED_NOT = ")),
        {"has_a_recorded_request_for_each_trigger"},
    ),
    "a description that is no sentence": (changed("webhook", ("placed an order.", "orders")), {"says_what_happened"}),
    "a field without a title": (
        changed(
            "polling",
            ("\nprovider = ", "\nclass Form(kit.PollingConfig):\n    shop: str = ''\n\n\nprovider = "),
            ("config=kit.PollingConfig", "config=Form"),
        ),
        {"has_a_form"},
    ),
    "unknown fields are taken": (
        changed(
            "polling",
            ("\nprovider = ", "\nclass Form(kit.PollingConfig, extra='ignore'):\n    pass\n\n\nprovider = "),
            ("config=kit.PollingConfig", "config=Form"),
        ),
        {"refuses_an_unknown_field", "has_a_form"},
    ),
    "no choice of the interval": (changed("polling", ("kit.PollingConfig", "kit.Empty")), {"has_what_its_kind_needs"}),
    "the time is the time of receipt": (
        changed(
            "webhook",
            (
                "events=EVENTS.only(event_type)",
                "events=lambda one: [kit.Draft(key=str(one.request.received_at), data=one.request.body)]",
            ),
        ),
        {"becomes_its_events", "is_the_same_event_again"},
    ),
    "no check": (
        changed("webhook", ("verify=VERIFY", "verify=lambda request, secrets: None")),
        {"is_refused_without_the_right_secret", "is_refused_without_its_signature"},
    ),
    "only the newest secret counts": (
        changed("webhook", ("verify=VERIFY", "verify=lambda request, secrets: VERIFY(request, secrets[:1])")),
        {"is_taken_while_its_secret_is_replaced"},
    ),
    "a signature that is not read": (
        changed(
            "webhook",
            (
                'VERIFY = kit.Hmac("X-Signature", prefix="sha256=")',
                "class Blind(kit.Hmac):\n    def __call__(self, request, secrets):\n        pass\n\n\n"
                "VERIFY = Blind('X-Signature', prefix='sha256=')",
            ),
        ),
        {"is_refused_when_altered"},
    ),
    "a time that is not checked": (
        changed(
            "webhook",
            ("datetime(2026, 5, 1, 12, tzinfo=UTC)),)", "datetime(2026, 5, 1, 12, tzinfo=UTC), timed=True),)"),
        ),
        {"is_refused_long_afterwards"},
    ),
    "an empty id": (
        changed(
            "webhook",
            (
                "events=EVENTS.only(event_type)",
                "events=lambda one: [kit.Draft(key=str(one.json()['id']), data=one.request.body)]",
            ),
        ),
        {"needs_an_id", "takes_nothing_else_for_an_event"},
    ),
    "every account": (
        changed(
            "app",
            (
                "return [f\"account:{kit.read(Me, await question.api.get('v1/me')).account}\"]",
                "return ['account:acc_1']",
            ),
        ),
        {"is_for_an_account_of_its_connection"},
    ),
    "a second webhook": (
        hooks(create=f"made = {MADE}\n        return kit.Registration({{'id': made['id']}}, secret)"),
        {"is_made_once", "is_whole_whatever_breaks"},
    ),
    "our secret, whatever the provider says": (
        hooks(
            create=f"await self.remove(question, url)\n        made = {MADE}\n        return kit.Registration({{'id': made['id']}}, 'another')"
        ),
        {"is_made_once"},
    ),
    "all webhooks are removed": (
        hooks(
            remove="for one in (await question.api.get('v1/webhooks', {'page': 1, 'limit': 100}))['data']:\n            await question.api.delete(f\"v1/webhooks/{one['id']}\")"
        ),
        {"is_removed_alone"},
    ),
    "the first page only": (
        changed("webhook", ("\ndef _hooks", f"{FIRST_PAGE}\n\ndef _hooks"), ("kit.Numbered(size", "First(size")),
        {"is_found_on_the_last_page"},
    ),
    "a removal that gives up": (
        hooks(
            remove="try:\n            await super().remove(question, url)\n        except kit.ProviderFailed:\n            pass"
        ),
        {"is_removed_whatever_breaks", "says_that_credentials_are_refused"},
    ),
    "newer than the newest": (
        poll(AFTER.replace("{than}", ">").replace("{{", "{").replace("}}", "}")),
        {"brings_things_of_one_instant", "brings_what_is_dated_earlier", "reads_all_pages"},
    ),
    "newest first": (
        wrapped("return kit.Page([*page.events][::-1], page.cursor, page.more)"),
        {"brings_what_happened_in_order"},
    ),
    "the id of the newest": (
        poll(
            """
    seen = (question.cursor or {}).get("last", "")
    answer = await question.api.get("v1/orders", {"since": "2026-05-01T11:00:00+00:00"})
    ids = [one["id"] for one in answer["data"]]
    new = answer["data"][ids.index(seen) + 1 :] if seen in ids else answer["data"]
    return kit.Page(ORDERS.drafts(new), {"last": ids[-1] if ids else ""})"""
        ),
        {"goes_on_after_the_newest_is_deleted", "brings_what_is_dated_earlier"},
    ),
    "the first page of things": (
        wrapped("return kit.Page(page.events, page.cursor)"),
        {"reads_all_pages", "brings_what_happens_meanwhile"},
    ),
    "an error counts as nothing new": (
        changed(
            "polling",
            (
                "\nprovider = kit.Provider(",
                POLL.replace(
                    "{poll}",
                    "try:\n        return await LISTED(question)\n    except kit.ProviderFailed:\n        return kit.Page((), question.cursor or {})",
                ),
            ),
            ("poll=kit.Listed(", "poll=_poll if True else kit.Listed("),
            ("\nprovider = kit.Provider(", POLLED),
        ),
        {"loses_nothing_when_a_request_fails", "says_that_credentials_are_refused"},
    ),
    "our clock": (
        poll(
            """
    since = (question.cursor or {}).get("since", "2026-05-01T12:00:00+00:00")
    answer = await question.api.get("v1/orders", {"since": since})
    return kit.Page(ORDERS.drafts(answer["data"]), {"since": question.asked_at.isoformat()})"""
        ),
        {"takes_the_provider_s_clock"},
    ),
    "a cursor of the configuration": (
        wrapped(
            "edited = question.config.polling_frequency\n    first = edited and not (question.cursor or {}).get('edited')\n    return kit.Page(() if first else page.events, {**page.cursor, 'edited': bool(edited)}, page.more)"
        ),
        {"keeps_its_place_when_it_is_edited"},
    ),
    "a new key each time": (
        wrapped(
            "import uuid\n    return kit.Page([kit.Draft(key=str(uuid.uuid4()), data=one.data, occurred_at=one.occurred_at) for one in page.events], page.cursor, page.more)"
        ),
        {"brings_the_same_after_a_crash", "brings_what_happened_in_order"},
    ),
    "state beside the cursor": (
        wrapped(
            "global SEEN\n    new = [one for one in page.events if one.key not in SEEN]\n    SEEN |= {one.key for one in new}\n    return kit.Page(new, page.cursor, page.more)"
        ),
        {"brings_the_same_after_a_crash"},
    ),
    "a cursor that only grows": (
        wrapped(
            "kept = [*(question.cursor or {}).get('kept', []), *('x' * 1000 for _ in page.events)]\n    return kit.Page(page.events, {**page.cursor, 'kept': kept}, page.more)"
        ),
        {"keeps_a_small_cursor"},
    ),
}


@pytest.fixture(autouse=True)
def _path() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before


def loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{file.parent.parent.name}_{file.stem}", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    module.__dict__["SEEN"] = set()
    spec.loader.exec_module(module)
    return module


def broken(folder: Path, kind: Kind, *changes: tuple[str, str]) -> set[str]:
    """Return the names of the rules that a new provider breaks after these changes of its files."""
    scaffold.new("acme", kind, folder)
    package = folder / "hairtrigger-acme"
    files = (package / "hairtrigger_acme.py", package / "tests" / "providers" / "acme" / "fake.py")
    texts = [file.read_text().replace('id="acme"', 'id="ID"', 1) for file in files]
    for before, after in changes:
        assert any(before in text for text in texts), before
        texts = [text.replace(before, after) for text in texts]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text.replace('id="ID"', 'id="acme"', 1))
    provider, fake = map(loaded, files)

    async def run() -> set[str]:
        found = set()
        for case in cases(subject(provider.provider, fake)):
            try:
                await case.run()
            except Exception:  # noqa: BLE001
                found.add(case.rule.__name__)
        return found

    return asyncio.run(run())


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_new_provider_keeps_every_rule(tmp_path: Path, kind: Kind) -> None:
    assert broken(tmp_path, kind) == set()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_breaks_the_rule_that_is_about_it(tmp_path: Path, fault: str) -> None:
    (kind, changes), rules = FAULTS[fault]

    assert rules <= broken(tmp_path, kind, *changes)


def test_every_rule_is_broken_by_a_fault() -> None:
    every: list[Any] = [
        *declarations.OF_PROVIDERS,
        *declarations.OF_TRIGGERS,
        *pushes.RULES,
        *subscriptions.RULES,
        *polls.RULES,
    ]

    assert {rule.__name__ for rule in every} == {rule for _, rules in FAULTS.values() for rule in rules}
