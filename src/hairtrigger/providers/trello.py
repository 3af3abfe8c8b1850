"""Defines the provider Trello. Each trigger has a webhook of its own on a board, and takes only actions of its own
kind.

The key is the id of the action, which the board's list of actions shows, too. Trello deletes a webhook that answers
410. https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from hairtrigger import kit


class Board(kit.Config):
    board: str = Field(
        pattern="^[0-9A-Za-z]{8,24}$",
        title="Board",
        description="The board's id: what follows /b/ in its address.",
        examples=["nC8QJJoZ"],
    )


class Found(kit.Payload):
    """The answer to a question for a board.
    https://developer.atlassian.com/cloud/trello/rest/api-group-boards/#api-boards-id-get
    """

    id: kit.Key


class Hooks(kit.Hooks[Board]):
    """The subscription by a webhook on a board.
    https://developer.atlassian.com/cloud/trello/rest/api-group-webhooks/#api-webhooks-post
    """

    async def wanted(self, question: kit.Question[Board], url: str, secret: str) -> Mapping[str, Any]:  # noqa: ARG002
        board = kit.read(Found, await question.api.get(f"boards/{question.config.board}", {"fields": "id"}))
        return {"callbackURL": url, "idModel": board.id, "description": "hairtrigger"}

    async def secret_of(self, question: kit.Question[Board], answer: Any, id_: str, secret: str) -> str:  # noqa: ARG002
        return question.secrets["app_secret"]


_HOOKS = Hooks(
    "webhooks",
    lambda *_: {},
    url="/callbackURL",
    listing="tokens/{token}/webhooks",
    one_per_url=True,
)


def _without(place: str, what: str) -> kit.Unless:
    """Return a check that leaves out updates of a card that have no value at the place. `what` says in words which
    change the trigger wants.
    """

    def unless(event: Any, _: Any) -> str | None:
        return None if kit.at_pointer(event, place) is not None else f"The card was changed, but not {what}."

    return unless


def _sample(type_: str) -> Any:
    board, card = (
        {"id": "4eea4ffc91e31d1746000046", "name": "Office"},
        {"id": "51f9277b2822b8654f0023af", "name": "Tea"},
    )
    lists = {
        "listBefore": {"id": "1", "name": "To do"},
        "listAfter": {"id": "2", "name": "Done"},
        "old": {"closed": False},
    }
    data = {"board": board, "card": card, **(lists if type_ == "updateCard" else {"text": "Well done"})}
    who = {"idMemberCreator": "4f7e", "memberCreator": {"id": "4f7e", "username": "ada"}}
    action = {"id": "51f9424bcd6e040f3c002412", "type": type_, "date": "2026-05-01T12:00:00.000Z", **who, "data": data}
    return {"action": action, "model": board}


_ACTIONS = kit.WebhookFamily(
    config=Board,
    sender=kit.SENDERS["trello"],
    subscription=lambda _: _HOOKS,
    fields=kit.Fields(key="/action/id", type="/action/type", subject="/action/data/card/id", at="/action/date"),
    sample=_sample,
)

provider = kit.Provider(
    id="trello",
    name="Trello",
    icon="📋",
    base_url="https://api.trello.com/1/",
    auth=kit.HeaderTemplate("authorization", 'OAuth oauth_consumer_key="{api_key}", oauth_token="{token}"'),
    further=("app_secret",),
    guide="On Trello's page of Power-Ups, make one, and take its API key and its secret. Its link Token makes a token "
    "for your user. The secret is what Trello signs with.",
    labels={"api_key": "API key", "token": "Token", "app_secret": "Secret"},
    check=lambda api: api.get("members/me?fields=id"),
    triggers=(
        _ACTIONS.on("createCard", "on_card_created", "Card created", "A card was added to the board."),
        _ACTIONS.on("updateCard", "on_card_moved", "Card moved", "A card was moved to another list.",
                    unless=_without("/action/data/listAfter", "moved")),
        _ACTIONS.on("updateCard", "on_card_archived", "Card archived", "A card was archived or restored.",
                    unless=_without("/action/data/old/closed", "archived")),
        _ACTIONS.on("commentCard", "on_comment_added", "Comment added", "A user commented on a card."),
        _ACTIONS.on("addMemberToCard", "on_member_added", "Member added", "A member was added to a card."),
        _ACTIONS.on("addLabelToCard", "on_label_added", "Label added", "A label was added to a card."),
    ),
)  # fmt: skip
