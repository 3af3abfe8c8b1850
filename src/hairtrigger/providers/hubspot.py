"""Defines the provider HubSpot. It is polled with searches, because webhooks belong to an app and are made by hand on
the app's pages.

The key of a new record is its id, because a record is created only once. The key of a change also has the time of the
change. The index of the search lags, so each poll looks back ten minutes. A search has at most 10,000 results, so a
longer one is begun again at the time of its last result.
https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide (search)
"""

from datetime import datetime, timedelta
from typing import Any

from hairtrigger import kit

_MOST = 9800  # results before a search begins again
_PROPERTIES = {
    "contacts": ("email", "firstname", "lastname", "phone", "company", "lifecyclestage"),
    "companies": ("name", "domain", "industry", "phone", "city", "country"),
    "deals": ("dealname", "amount", "dealstage", "pipeline", "closedate", "hubspot_owner_id"),
    "tickets": ("subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority", "hubspot_owner_id"),
}


def _asked(kind: str, time: str) -> Any:
    async def ask(question: kit.Question[kit.PollingConfig], look: kit.Look) -> Any:
        place = look.token or {"since": look.since.isoformat()}
        after = {"after": place["after"]} if "after" in place else {}  # HubSpot refuses "0"
        since = str(round(datetime.fromisoformat(place["since"]).timestamp() * 1000 - 0.5))
        wanted = {
            "filterGroups": [{"filters": [{"propertyName": time, "operator": "GTE", "value": since}]}],
            "sorts": [{"propertyName": time, "direction": "ASCENDING"}],
            "properties": [*_PROPERTIES[kind], time],
            "limit": 200,
            **after,
        }
        return await question.api.post(f"crm/v3/objects/{kind}/search", wanted)

    return ask


def _following(time: str) -> Any:
    def following(answer: Any, things: list[Any], look: kit.Look) -> Any:
        after = kit.at_pointer(answer, "/paging/next/after")
        if not after or not things:
            return None
        since = look.token["since"] if look.token else look.since.isoformat()
        if int(after) >= _MOST:
            return {"since": things[-1]["properties"][time]}
        return {"since": since, "after": after}

    return following


def _on(kind: str, time: str, id_: str, name: str, description: str) -> kit.Polling[kit.PollingConfig]:
    place = f"/properties/{time}"
    fields = kit.Fields(key="/id" if time == "createdate" else ("/id", place), subject="/id", at=place)
    ask, late = _asked(kind, time), timedelta(minutes=10)

    async def samples(question: kit.Question[kit.PollingConfig]) -> Any:
        answer = await question.api.get(
            f"crm/v3/objects/{kind}", {"limit": 3, "properties": ",".join((*_PROPERTIES[kind], time))}
        )
        return kit.items_at(answer, "/results")

    return kit.Polling(
        id=id_,
        name=name,
        description=description,
        config=kit.PollingConfig,
        poll=kit.Asked(ask, fields, late, items="/results", following=_following(time)),
        samples=samples,
    )


_NEW, _CHANGED = "createdate", "hs_lastmodifieddate"

provider = kit.Provider(
    id="hubspot",
    name="HubSpot",
    icon="🟠",
    base_url="https://api.hubapi.com/",
    auth=kit.Bearer("token"),
    guide="In HubSpot, under Settings, Integrations, Private apps, make an app with the scopes "
    "crm.objects.contacts.read, crm.objects.companies.read, crm.objects.deals.read and tickets, and take its token.",
    labels={"token": "Access token"},
    check=lambda api: api.get("crm/v3/objects/contacts?limit=1"),
    triggers=(
        _on("contacts", _NEW, "on_contact_created", "Contact created", "A contact was added."),
        # https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide: contacts name the property otherwise
        _on("contacts", "lastmodifieddate", "on_contact_updated", "Contact updated", "A contact was added or changed."),
        _on("companies", _NEW, "on_company_created", "Company created", "A company was added."),
        _on("companies", _CHANGED, "on_company_updated", "Company updated", "A company was added or changed."),
        _on("deals", _NEW, "on_deal_created", "Deal created", "A deal was added."),
        _on(
            "deals", _CHANGED, "on_deal_updated", "Deal updated", "A deal was added or changed, its stage for example."
        ),
        _on("tickets", _NEW, "on_ticket_created", "Ticket created", "A ticket was added."),
        _on("tickets", _CHANGED, "on_ticket_updated", "Ticket updated", "A ticket was added or changed."),
    ),
)
