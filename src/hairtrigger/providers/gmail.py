"""Defines the provider Gmail. It is polled by the mailbox's history, which lists each new message once.

The key is the message's id. Google forgets a place in the history after a week or less, and then answers 404. In this
case, the messages since the newest one that was seen are listed. A draft is no message.
https://developers.google.com/workspace/gmail/api/guides/sync
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit

_ME = "gmail/v1/users/me"
_PAGE = 20  # messages, each of which is fetched by a call of its own
_OVERLAP = timedelta(minutes=10)
_MESSAGE = kit.Fields(key="/id", subject="/threadId", at="/internalDate", unit="ms")


class Profile(kit.Payload):
    """The mailbox, with its newest place in the history.
    https://developers.google.com/workspace/gmail/api/reference/rest/v1/users/getProfile
    """

    history: str | int = Field(alias="historyId")


class History(kit.Payload):
    """A page of the history. https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.history/list"""

    history: Sequence[dict[str, Any]] = ()
    page: str | None = Field(default=None, alias="nextPageToken")
    newest: str | int = Field(alias="historyId")


class Listed(kit.Payload):
    """A page of a list of messages.
    https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/list
    """

    messages: Sequence[dict[str, Any]] = ()
    page: str | None = Field(default=None, alias="nextPageToken")


def _poll(change: str, label: str) -> Any:
    async def poll(question: kit.Question[kit.PollingConfig]) -> kit.Page:
        place = dict(question.cursor or {"newest": question.enabled_at.isoformat()})
        if "history" not in place:
            profile = kit.read(Profile, await question.api.get(f"{_ME}/profile"))
            return kit.Page((), {**place, "history": str(profile.history)})
        if "list" in place:
            return await _older(question, place, label)
        page = {"pageToken": place["page"]} if "page" in place else {}
        kind = "messageAdded" if change == "messagesAdded" else "labelAdded"
        asked = {"startHistoryId": place["history"], "historyTypes": kind, "labelId": label, "maxResults": _PAGE}
        try:
            found = kit.read(History, await question.api.get(f"{_ME}/history", {**asked, **page}))
        except kit.MissingAtProvider:
            return await _older(question, await _forgotten(question, place), label)
        ids = [one["message"]["id"] for record in found.history for one in record.get(change, ()) if _has(one, label)]
        events, newest = await _messages(question, ids, label, place["newest"])
        following = {"page": found.page, "history": place["history"]} if found.page else {"history": str(found.newest)}
        return kit.Page(events, {"newest": newest, **following}, more=bool(found.page))

    return poll


def _has(change: Any, label: str) -> bool:
    return label in change.get("labelIds", (label,))


async def _forgotten(question: kit.Question[Any], place: dict[str, Any]) -> dict[str, Any]:
    """Return the cursor from which messages are listed, because Google has forgotten the place in the history. The new
    place in the history is taken before the list, so that no message falls between the two.
    """
    profile = kit.read(Profile, await question.api.get(f"{_ME}/profile"))
    return {"newest": place["newest"], "list": place["newest"], "history": str(profile.history)}


async def _older(question: kit.Question[Any], place: dict[str, Any], label: str) -> kit.Page:
    """Return a page of the list of messages since the newest one that had been seen when the list began."""
    after = int((datetime.fromisoformat(place["list"]) - _OVERLAP).timestamp())
    page = {"pageToken": place["page"]} if "page" in place else {}
    asked = {"q": f"after:{after}", "labelIds": label, "maxResults": _PAGE, **page}
    found = kit.read(Listed, await question.api.get(f"{_ME}/messages", asked))
    events, newest = await _messages(question, [one["id"] for one in found.messages], label, place["newest"])
    if found.page:
        return kit.Page(events, {**place, "newest": newest, "page": found.page}, more=True)
    return kit.Page(events, {"newest": newest, "history": place["history"]})


async def _messages(
    question: kit.Question[Any], ids: list[str], label: str, newest: str
) -> tuple[list[kit.Draft], str]:
    """Return those of the messages with these ids that still have the label and are no drafts, and the time of the
    newest message that was seen until now. `newest` is that time before these messages.
    """
    found = []
    for id_ in dict.fromkeys(ids):
        try:
            found.append(await question.api.get(f"{_ME}/messages/{id_}", {"format": "full"}))
        except kit.MissingAtProvider:
            continue  # it was deleted meanwhile
    wanted = [one for one in found if label in one.get("labelIds", ()) and "DRAFT" not in one.get("labelIds", ())]
    drafts = _MESSAGE.drafts(wanted)
    times = [one.occurred_at.astimezone(UTC).isoformat() for one in drafts if one.occurred_at]
    return drafts, max([newest, *times], key=datetime.fromisoformat)


def _on(change: str, label: str, id_: str, name: str, description: str) -> kit.Polling[kit.PollingConfig]:
    async def samples(question: kit.Question[kit.PollingConfig]) -> Any:
        found = kit.read(Listed, await question.api.get(f"{_ME}/messages", {"labelIds": label, "maxResults": 3}))
        return [await question.api.get(f"{_ME}/messages/{one['id']}", {"format": "full"}) for one in found.messages]

    poll = _poll(change, label)
    return kit.Polling(id=id_, name=name, description=description, config=kit.PollingConfig, poll=poll, samples=samples)


provider = kit.Provider(
    id="gmail",
    name="Gmail",
    icon="📧",
    base_url="https://gmail.googleapis.com/",
    auth=kit.google("gmail.readonly"),
    guide=kit.GOOGLE_GUIDE,
    check=lambda api: api.get(f"{_ME}/profile"),
    triggers=(
        _on("messagesAdded", "INBOX", "on_email_received", "Email received", "An e-mail came into the inbox."),
        _on("messagesAdded", "SENT", "on_email_sent", "Email sent", "An e-mail was sent from the account."),
        _on("labelsAdded", "STARRED", "on_email_starred", "Email starred", "An e-mail got a star."),
    ),
)
