"""The list of what is shown names tests that exist, and the folder of pages holds a page for each provider."""

from dataclasses import replace
from datetime import timedelta

from hairtrigger.kit.senders import SENDERS
from hairtrigger.kit.verify import Signature, Verifier
from hairtrigger.providers import CATALOGUE
from tests.golden import FILES, ROOT
from tests.providers.shown import SHOWN
from tests.providers.subjects import SUBJECTS
from tests.support.providers_pages import FOLDER
from tests.test_cases import exists


def test_what_is_shown_is_shown_by_tests_that_exist() -> None:
    assert [one.test for rows in SHOWN.values() for one in rows if not exists(one.test)] == []
    assert set(SHOWN) <= {provider.id for provider in CATALOGUE}
    assert all(one.by for rows in SHOWN.values() for one in rows)


def test_a_signer_of_others_shows_a_provider_that_checks_as_the_known_sender_does() -> None:
    peers = (ROOT / "tests" / "kit" / "peers.mjs").read_text()
    for subject in SUBJECTS:
        id_ = subject.provider.id
        rows = [one for one in SHOWN.get(id_, ()) if one.test.startswith("tests/kit/")]
        if rows and id_ != "webhook":
            assert f'"{id_}: ' in peers or all("test_peers" not in one.test for one in rows)
            assert _signed(SENDERS[id_].verify) in [_signed(subject.verifier(one)) for one in subject.recorded]


def _signed(verifier: Verifier) -> Verifier:
    """Return the verifier as if it took signatures of any time, because senders' libraries differ in that."""
    if isinstance(verifier, Signature) and verifier.timestamp:
        return replace(verifier, timestamp=replace(verifier.timestamp, tolerance=timedelta()))
    return verifier


def test_there_is_a_page_for_each_provider_and_no_other() -> None:
    there = {str(file.relative_to(ROOT)) for file in (ROOT / FOLDER).glob("*.md")}

    assert there == {name for name in FILES if name.startswith(f"{FOLDER}/")}
