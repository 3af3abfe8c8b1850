"""The Web Platform Tests that the registries carry, in our sandbox: no test fails that passed before."""

from collections import Counter

import pytest

from tests.wpt.expected import expected, reason
from tests.wpt.harness import results
from tests.wpt.sources import OWN, checkout

pytestmark = pytest.mark.anyio


async def test_no_web_platform_test_fails_that_passed_before() -> None:
    place = checkout()
    known = expected()

    found = {str(page): each async for page, each in results(place, place.pages("own"))}

    assert len(found) == 11
    new = {
        page: {name: message for name, message in each.failed.items() if name not in known.get(page, ())}
        for page, each in found.items()
    }
    assert not {page: failures for page, failures in new.items() if failures}
    passed = Counter({page: len(each.passed) for page, each in found.items()})
    assert passed["own/urls.any.js"] > 2000
    assert passed["own/interfaces.any.js?streams"] > 150


def test_every_failure_that_is_expected_has_a_reason() -> None:
    without = [(page, name) for page, names in expected().items() for name in names if reason(page, name) is None]

    assert without == []
    assert OWN.is_dir()
