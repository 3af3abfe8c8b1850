"""Defines the provider Twilio. It is polled, because a number has only one place for a webhook, which may be another
program's.

The key is the id of the message, the call or the recording. Lists are filtered by days and have the newest things
first, so each poll reads back to the things that it knows. https://www.twilio.com/docs/messaging/api/message-resource
"""

from datetime import timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit

_ACCOUNT = "2010-04-01/Accounts/{account_sid}"
_NUMBER = r"^\+[0-9]{5,15}$"


class Number(kit.PollingConfig):
    to: str | None = Field(
        default=None, pattern=_NUMBER, title="Number", description="The only number of yours to look at."
    )


def _to(thing: Any, config: Number) -> bool:
    return config.to is None or thing.get("to") == config.to


def _on(
    list_: str, day: str, at: str, id_: str, name: str, description: str, wanted: Any = lambda _: True
) -> kit.Polling[Number]:
    async def samples(question: kit.Question[Number]) -> Any:
        path = f"{_ACCOUNT.format_map(question.secrets)}/{list_.capitalize()}.json"
        return kit.items_at(await question.api.get(path, {"PageSize": 3}), f"/{list_}")

    return kit.Polling(
        id=id_,
        name=name,
        description=description,
        config=Number,
        poll=kit.Listed[Number](
            f"{_ACCOUNT}/{list_.capitalize()}.json",
            kit.Fields(key="/sid", subject="/sid", at=at, unit="mail"),
            lambda since: {f"{day}>": f"{since:%Y-%m-%d}"},
            timedelta(minutes=10),
            items=f"/{list_}",
            paging=kit.NextUrl("/next_page_uri", {"PageSize": 200}),
            newest_first=True,
            wanted=lambda thing, config: wanted(thing) and _to(thing, config),
        ),
        samples=samples,
    )


provider = kit.Provider(
    id="twilio",
    name="Twilio",
    icon="☎️",
    base_url="https://api.twilio.com/",
    auth=kit.UserAndPassword("account_sid", "auth_token"),
    guide="On the first page of Twilio's console are the account SID and the auth token.",
    labels={"account_sid": "Account SID", "auth_token": "Auth token"},
    check=lambda api: api.get("2010-04-01/Accounts.json?PageSize=1"),
    triggers=(
        _on("messages", "DateSent", "/date_created", "on_message_received", "Message received",
            "An SMS, MMS or WhatsApp message came in.", lambda one: one.get("direction") == "inbound"),
        _on("messages", "DateSent", "/date_created", "on_message_failed", "Message failed",
            "A message could not be sent or delivered.", lambda one: one.get("status") in ("failed", "undelivered")),
        _on("calls", "StartTime", "/date_created", "on_call_received", "Call received", "A call came in and has ended.",
            lambda one: one.get("direction") == "inbound" and bool(one.get("end_time"))),
    ),
)  # fmt: skip
