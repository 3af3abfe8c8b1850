import json

from tests.providers.asking import arrived, events, trigger

ADDED = trigger("asana", "on_task_added")
CONFIG = {"project": "1204619611402340"}
EVENT = {"action": "added", "resource": {"gid": "1", "resource_type": "task"}, "created_at": "2026-05-01T12:00:00.123Z"}


def test_a_sign_of_life_is_no_event() -> None:
    assert events(ADDED, arrived(b'{"events": []}'), CONFIG) == []


def test_each_event_of_a_delivery_is_one_and_the_same_in_another_delivery() -> None:
    later, other = {**EVENT, "created_at": "2026-05-01T12:00:00.124Z"}, {**EVENT, "action": "changed"}
    first = events(ADDED, arrived(json.dumps({"events": [EVENT, other, later]}).encode()), CONFIG)
    second = events(ADDED, arrived(json.dumps({"events": [later]}, indent=1).encode()), CONFIG)

    assert len({one.key for one in first}) == 2
    assert [one.key for one in second] == [first[1].key]


def test_the_secret_that_asana_sends_ahead_goes_back_to_it() -> None:
    (handshake,) = ADDED.handshakes(ADDED.config(**CONFIG))
    request = arrived(b"", {"x-hook-secret": "b537"})

    assert handshake.asks(request)
    assert handshake.answer(request).headers["X-Hook-Secret"] == "b537"
