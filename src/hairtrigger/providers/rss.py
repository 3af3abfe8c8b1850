"""The provider for RSS, Atom and JSON feeds, also for those that are not well-formed. `kit.feeds` reads them."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from pydantic import Field, HttpUrl, TypeAdapter, field_validator
from pydantic_core import to_json

from hairtrigger import kit

_KEYS = 2  # the spelling of keys: 1 made ids absolute, and had one key for all entries of an id
_HEADER = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"


class Feed(kit.PollingConfig):
    url: HttpUrl = Field(title="Address", description="Of the feed itself, not of a page that links to it.")
    username: str | None = Field(default=None, title="User name", description="Of a private feed (Basic).")
    password: str | None = Field(
        default=None,
        repr=False,
        title="Password",
        description="Of a private feed (Basic).",
        json_schema_extra={"format": "password", "writeOnly": True},
    )
    headers: dict[Annotated[str, Field(pattern=_HEADER)], str] = Field(
        default_factory=dict,
        repr=False,
        max_length=20,
        title="Headers",
        description="Sent with each request, such as Authorization, Cookie or User-Agent. They are kept as secrets.",
        json_schema_extra={"writeOnly": True},
    )

    @field_validator("url")
    @classmethod
    def _without_credentials(cls, url: HttpUrl) -> HttpUrl:
        if url.username or url.password:
            raise ValueError("Give the user name and the password in fields of their own, not in the address.")
        return url

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        if wrong := [name for name, value in headers.items() if not value.isascii() or not value.isprintable()]:
            raise ValueError(f"The value of the header '{wrong[0]}' can't be sent.")
        return headers

    def sent(self) -> dict[str, str]:
        """Return the headers that requests for the feed carry, with the user's credentials among them. The names are
        lower case.
        """
        sent = {name.lower(): value for name, value in self.headers.items()}
        if self.username is not None or self.password is not None:
            pair = f"{self.username or ''}:{self.password or ''}"
            sent["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return sent


async def _poll(question: kit.Question[Feed]) -> kit.Page:
    """Return a page with the entries that no poll has seen before. Dates decide only on the order of the entries,
    because authors back-date entries.
    """
    cursor = question.cursor or {}
    url = str(question.config.url)
    place = kit.mark(url)
    conditions = _conditions(cursor) if cursor.get("url", place) == place else {}
    reply = await question.api.document(url, headers={**question.config.sent(), **conditions})
    if reply.status == HTTPStatus.NOT_MODIFIED and conditions:
        return kit.Page((), cursor, note="The feed has not changed.")
    seen = dict.fromkeys(cursor.get("seen", ()))
    former = "1" if question.cursor is not None and cursor.get("keys") != _KEYS else ""
    listed: list[str] = []
    new: dict[str, kit.Draft] = {}
    apart = elsewhere = 0
    async for found in question.parse(
        _FOUND,
        reply.body,
        url=url,
        content_type=kit.header(reply, "content-type") or "",
        seen=" ".join(seen),
        former=former,
    ):
        listed += found.marks
        apart += found.apart
        elsewhere += found.elsewhere
        if found.entry is not None:
            # The same key may come twice: keep the content of the first entry, in the place of the last one.
            draft = kit.Draft(key=found.key, data=to_json(found.entry), occurred_at=found.dated)
            new[found.key] = new.pop(found.key, draft)
    return kit.Page(
        events=_oldest_first([*new.values()][::-1]),
        cursor={
            "etag": kit.header(reply, "etag"),
            "modified": kit.header(reply, "last-modified"),
            "url": place,
            "keys": _KEYS,
            "seen": kit.still_seen(listed, seen),
        },
        note=" ".join(
            filter(None, (_APART.format(apart) * bool(apart), _ELSEWHERE.format(elsewhere) * bool(elsewhere)))
        ),
    )


def _conditions(cursor: kit.Cursor) -> dict[str, str]:
    """Return the headers that ask for the feed only if it has changed since the poll that made the cursor. There are
    none if the server gave nothing to ask with.

    https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests
    """
    conditions = {"if-none-match": cursor.get("etag"), "if-modified-since": cursor.get("modified")}
    return {name: value for name, value in conditions.items() if value}


def _oldest_first(drafts: Sequence[kit.Draft]) -> Sequence[kit.Draft]:
    """Return the drafts sorted by date if each has a date, or else in the order given.

    The given order must be the reverse of the feed's, because feeds begin with the newest entry.
    """
    if all(draft.occurred_at for draft in drafts):
        return sorted(drafts, key=lambda draft: draft.occurred_at or datetime.max.replace(tzinfo=UTC))
    return drafts


_APART = "{} of its entries share an id or a link with others, and are told apart by their links or titles."
_ELSEWHERE = "{} of its entries have the id of an earlier entry and another link. They count as that entry."
_FOUND = kit.Parser(kit.feeds.found_in, TypeAdapter(kit.feeds.Found))

provider = kit.Provider(
    id="rss",
    name="RSS",
    icon="📡",
    triggers=(
        kit.Polling(
            id="on_item_published",
            name="Item published",
            description="An entry appeared in an RSS, Atom or JSON feed.",
            config=Feed,
            poll=_poll,
            every=timedelta(minutes=5),
            needs_connection=False,
            key_explained="The entry's id, or else its link, or else what it says. Entries that share an id are told "
            "apart by their links or titles.",
        ),
    ),
)
