"""The list of apps that are asked for most is whole, and each way of one exists."""

from hairtrigger.kit.senders import SENDERS
from hairtrigger.providers import CATALOGUE
from tests.apps import APPS, OTHER_NAMES, ways
from tests.support.snippets import SNIPPETS


def test_the_list_names_each_app_once() -> None:
    assert len(APPS) == len(set(APPS)) == 105
    assert set(OTHER_NAMES) <= set(APPS)


def test_names_of_providers_senders_and_snippets_exist() -> None:
    known = {*SENDERS, *(provider.id for provider in CATALOGUE)}

    assert [names for names in OTHER_NAMES.values() if not known & set(names)] == []
    assert {one.app for one in SNIPPETS} <= set(APPS)


def test_sixty_apps_can_start_a_workflow() -> None:
    assert sum(way is not None for way in ways().values()) >= 60
