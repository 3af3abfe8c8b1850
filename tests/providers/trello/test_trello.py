import json
from typing import Any

import pytest

from hairtrigger.domain.errors import NotWanted
from hairtrigger.kit.incoming import Incoming
from tests.providers.asking import arrived, trigger


@pytest.mark.parametrize(
    ("trigger_id", "data", "wanted"),
    [
        ("on_card_moved", {"listAfter": {"id": "2"}}, True),
        ("on_card_moved", {"old": {"closed": False}}, False),
        ("on_card_archived", {"old": {"closed": False}}, True),
        ("on_card_archived", {"old": {"name": "Tea"}}, False),
    ],
)
def test_an_update_of_a_card_is_told_by_what_was_changed(trigger_id: str, data: dict[str, Any], wanted: bool) -> None:
    definition = trigger("trello", trigger_id)
    action = {"id": "1", "type": "updateCard", "date": "2026-05-01T12:00:00Z", "data": {"card": {"id": "9"}, **data}}
    body = json.dumps({"action": action})
    incoming = Incoming(arrived(body.encode()), definition.config(board="nC8QJJoZ"))

    if wanted:
        assert [one.key for one in definition.events(incoming)] == ["1"]
    else:
        with pytest.raises(NotWanted, match="The card was changed, but not"):
            definition.events(incoming)
