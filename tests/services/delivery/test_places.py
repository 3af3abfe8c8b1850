"""Places are shared by organisations first and by their projects second, and nothing is kept from one that is alone."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from hairtrigger.services.delivery.places import Places, tenant_of
from hairtrigger.store.delivery.lanes import Asking, Lane
from hairtrigger.store.setup.projects import Project

NOW = datetime(2030, 1, 1, tzinfo=UTC)
A, B, C = (uuid4() for _ in range(3))


def asks(org_id: UUID, project_id: str, room: int = 10_000) -> Asking:
    return Asking(
        project_id,
        a_project(org_id, project_id),
        Lane(project_id, room, None, paused=False, paused_triggers=frozenset()),
    )


def a_project(org_id: UUID, project_id: str) -> Project:
    return Project(project_id, org_id, "Project", {"kind": "log"}, b"", NOW, NOW, 1)


def taken(places: Places, *asking: Asking, most: int = 10_000) -> Mapping[str, int]:
    """Let the projects take their parts until no part is left, and return what each holds then."""
    held: Counter[str] = Counter()
    while parts := places.share(asking, most):
        held.update(parts)
    return held


@pytest.mark.parametrize("slots", [1, 2, 5, 20, 200, 1000])
def test_a_project_that_is_alone_gets_all_places_of_one(slots: int) -> None:
    assert taken(Places(slots), asks(A, "a")) == {"a": slots}


@pytest.mark.parametrize("projects", [1, 2, 40])
def test_whatever_one_organisation_takes_another_finds_places_at_once(projects: int) -> None:
    places = Places(200)
    taken(places, *(asks(A, f"a{number:02}") for number in range(projects)))
    assert places.share([asks(A, "a00"), asks(B, "b")], 20)["b"] >= 19


def test_organisations_share_evenly_however_many_projects_they_have() -> None:
    places = Places(200)
    many = [asks(A, f"a{number:02}") for number in range(40)]
    held = taken(places, *many, asks(B, "b"), most=20)
    of_a = sum(count for project, count in held.items() if project != "b")
    assert abs(of_a - held["b"]) <= 1
    assert {count for project, count in held.items() if project != "b"} <= {of_a // 40, of_a // 40 + 1}


def test_a_project_leaves_places_to_others_of_its_organisation() -> None:
    places = Places(200)
    taken(places, asks(A, "slow"))
    assert places.share([asks(A, "slow"), asks(A, "quick")], 20)["quick"] >= 10


def test_equals_are_served_by_turns() -> None:
    places = Places(20)
    asking = [asks(A, name) for name in "abcde"]
    served = [next(iter(places.share(asking, 1))) for _ in range(10)]
    assert Counter(served) == dict.fromkeys("abcde", 2)


def test_places_are_free_again_when_they_are_given_back() -> None:
    places = Places(5)
    taken(places, asks(A, "a"))
    assert places.share([asks(A, "a")], 5) == {}
    assert places.refused == {"a"}
    places.give_back(tenant_of(A, "a"), 5)
    assert (places.free, places.share([asks(A, "a")], 5)) == (places.total, {"a": 5})


def test_no_lane_takes_more_than_it_has_room_for() -> None:
    assert Places(200).share([asks(A, "a", 3), asks(B, "b", 1), asks(C, "c")], 10) == {"a": 3, "b": 1, "c": 6}
