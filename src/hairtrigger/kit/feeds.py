"""Reads RSS, Atom and JSON feeds, even if they are not well-formed, and tells their entries apart.

https://www.rssboard.org/rss-specification, https://www.rfc-editor.org/rfc/rfc4287, https://www.jsonfeed.org/version/1.1/

feedparser reads XML, but it changes ids, drops most elements of other namespaces, and spends most of its time on HTML.
So `_Noting` keeps the ids and those elements as they are written, and only the HTML of new entries is cleaned.

The key of an entry is its id, or else its link, or else a digest. If several entries of a feed have the same id or
link, the key also holds what tells them apart: the link after an id, or the title and the date after a link.
"""

import re
import xml.sax
import xml.sax.expatreader  # feedparser imports it late, and the process that parses cannot load modules
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz
from html import unescape
from io import BytesIO
from time import struct_time
from typing import Any

from feedparser.api import LooseFeedParser, StrictFeedParser
from feedparser.encodings import convert_to_utf8
from feedparser.sanitizer import _HTMLSanitizer, replace_doctype
from feedparser.urls import RelativeURIResolver, make_safe_absolute_uri
from pydantic import AwareDatetime
from pydantic_core import from_json, to_json

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.domain.event import digest
from hairtrigger.kit.config import Payload
from hairtrigger.kit.cursor import mark

_LARGEST = 64 * 1024 * 1024  # bytes of a feed that is compressed without saying so
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = zlib.MAX_WBITS | 16
_DEEPEST = 8  # levels of elements of other namespaces that are kept
_NEVER_TEXT = re.compile("[\0\ud800-\udfff]")
_IFRAME = re.compile(r"</?iframe[^>]*>")
_NOTED = frozenset({"id", "guid", "author", "dc:creator", "dc:author"})
_DIGESTED = (
    *("id", "title", "link", "summary", "content", "author", "published", "updated", "categories", "enclosures"),
)
_ON_THE_WEB = re.compile("(https?:)?//", re.IGNORECASE)
_MARKUP = re.compile("[<&]")
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_READ_ELSEWHERE = frozenset({"atom", "content", "dc", "dcterms", "rdf", "rss", "xhtml", "xml"})  # prefixes
# feedparser makes all names lower case. These are the ones that their namespaces spell otherwise.
_SPELLED = {
    name.lower(): name
    for name in (
        *("yt:videoId", "yt:channelId", "yt:playlistId", "itunes:episodeType", "media:starRating", "media:peerLink"),
        *("media:subTitle", "media:responses", "fileSize", "isDefault", "isPermaLink", "wfw:commentRss"),
        *("slash:hit_parade", "torrent:contentLength", "torrent:infoHash", "torrent:magnetURI", "nyaa:infoHash"),
        *("gd:etag", "openSearch:totalResults", "podcast:liveItem", "podcast:socialInteract", "podcast:valueRecipient"),
    )
}
# Names of zones that RFC 822 does not have and feeds use. An unknown name counts as UTC, as RFC 5322, 4.3 asks for.
_ZONES = {
    **dict.fromkeys(("WET",), 0.0),
    **dict.fromkeys(("BST", "CET", "MEZ", "MET", "WAT", "WEST"), 1.0),
    **dict.fromkeys(("CAT", "CEST", "EET", "MESZ", "MEST", "SAST"), 2.0),
    **dict.fromkeys(("EAT", "EEST", "MSK", "TRT"), 3.0),
    **dict.fromkeys(("GST",), 4.0),
    **dict.fromkeys(("PKT",), 5.0),
    **dict.fromkeys(("IST",), 5.5),
    **dict.fromkeys(("ICT", "WIB"), 7.0),
    **dict.fromkeys(("AWST", "HKT", "MYT", "PHT", "SGT"), 8.0),
    **dict.fromkeys(("JST", "KST"), 9.0),
    **dict.fromkeys(("ACST",), 9.5),
    **dict.fromkeys(("AEST",), 10.0),
    **dict.fromkeys(("ACDT",), 10.5),
    **dict.fromkeys(("AEDT",), 11.0),
    **dict.fromkeys(("NZST",), 12.0),
    **dict.fromkeys(("NZDT",), 13.0),
    **dict.fromkeys(("NDT",), -2.5),
    **dict.fromkeys(("ART", "BRT"), -3.0),
    **dict.fromkeys(("NST",), -3.5),
    **dict.fromkeys(("AKDT",), -8.0),
    **dict.fromkeys(("AKST",), -9.0),
    **dict.fromkeys(("HST",), -10.0),
}
_ADDRESSES = (
    re.compile(r"(?P<email>[^\s()<>@]+@[^\s()<>@]+)\s*(?:\((?P<name>[^()]*)\))?"),  # as RSS asks for
    re.compile(r"(?P<name>[^<>@]*)<(?P<email>[^\s()<>@]+@[^\s()<>@]+)>"),  # as in mails
)
_NAMED_ZONE = re.compile(r"(.*\d{1,2}:\d\d(?::\d\d)?(?:\.\d+)?)\s*\(?([A-Za-z]{3,5})\)?", re.DOTALL)


class Enclosure(Payload):
    url: str | None
    type: str | None
    length: str | None


class Author(Payload):
    name: str | None
    email: str | None
    url: str | None


class Entry(Payload):
    """An entry of a feed, in the form in which the target receives it.

    `extensions` holds elements of other namespaces by their names, such as `media:thumbnail`. Each name has a list of
    elements. An element is given as its text, or as an object of its attributes, its `text` and the elements within it.
    """

    id: str | None
    title: str | None
    link: str | None
    summary: str | None
    content: str | None
    author: str | None
    authors: list[Author]
    published: str | None
    updated: str | None
    categories: list[str]
    enclosures: list[Enclosure]
    extensions: dict[str, Any]


class Found(Payload):
    """An entry of a feed with its key. `entry` is None if the entry was seen before.

    The HTML of an entry that was seen before need not be cleaned, so only new entries cost much.
    """

    key: str
    marks: list[str]  # by which later polls recognise it
    apart: bool  # its id or link is one of several entries
    elsewhere: bool  # it was seen before with another link
    entry: Entry | None
    dated: AwareDatetime | None


def found_in(data: bytes, url: str, content_type: str, seen: str = "", former: str = "") -> Iterator[Mapping[str, Any]]:
    """Yield the entries of a feed in the form of `Found`, in the order of the feed. `url` is the feed's address.

    `seen` holds the marks of the entries that were seen before, with spaces between them. If `former` is not empty,
    these marks were made by an earlier version, which spelled keys in another way. Raises `ProviderFailed` for bytes
    that are no feed.
    """
    data = _decompressed(data)
    try:
        if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            read = _json_entries(data)
        else:
            read = _xml_entries(data, url, content_type)
    except (ValueError, OverflowError) as error:  # references to characters that do not exist
        raise ProviderFailed("The feed is too broken to be read.") from error
    yield from _told_apart([one for one in read if not one.is_empty], frozenset(seen.split()), former=bool(former))


@dataclass(frozen=True)
class _Read:
    """An entry as it was read from a feed. Its HTML is not cleaned yet."""

    fields: Mapping[str, Any]  # those of `Entry`
    dated: datetime | None
    clean: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(repr=False)
    former: Mapping[str, Any]  # the fields that earlier versions read otherwise

    @property
    def is_empty(self) -> bool:
        """Return whether the entry has nothing, or nothing but authors, as at the end of a feed that is cut off."""
        return not any(value for name, value in self.fields.items() if name not in {"author", "authors"})

    @property
    def name(self) -> str:
        return self.fields["id"] or self.fields["link"] or self._digest

    @property
    def exact(self) -> str:
        """Return the entry's name with what tells it from other entries of the same name. That is its link if the name
        is an id, and its title and date if the name is a link.
        """
        told = ("id", "link") if self.fields["id"] else ("link", "title", "published")
        return " ".join(filter(None, (self.fields[name] for name in told))) or self.name

    @property
    def former_name(self) -> str:
        return self.former["id"] or self.fields["link"] or self._digest

    @property
    def _digest(self) -> str:
        """Return a digest of the entry as earlier versions of this service read it, so that the digests of old entries
        stay the same.
        """
        cleaned = {**self.clean(self.fields), **self.former}
        told = {name: cleaned[name] for name in _DIGESTED}
        told |= {name: told[name] and _IFRAME.sub("", told[name]).strip() for name in ("summary", "content")}
        return digest(to_json(told))


def _told_apart(read: Sequence[_Read], seen: frozenset[str], *, former: bool) -> Iterator[Mapping[str, Any]]:
    names = [(one.name, one.exact) for one in read]
    exact_by_name = defaultdict[str, set[str]](set)
    for name, exact in names:
        exact_by_name[name].add(exact)
    for one, (name, exact) in zip(read, names, strict=True):
        common = mark(f"shared {name}")
        apart = len(exact_by_name[name]) > 1 or common in seen
        named, exactly = mark(name), mark(exact)
        known = (exactly if apart else named) in seen
        # Without `former`, a shared id in its former spelling would make every later entry known.
        spelled_otherwise = (former or not apart) and mark(one.former_name) in seen
        is_known = known or spelled_otherwise
        yield {
            "key": exact if apart else name,
            "marks": list(dict.fromkeys((named, exactly, *([common] if apart else ())))),
            "apart": apart,
            "elsewhere": is_known and not apart and not former and bool(one.fields["id"]) and exactly not in seen,
            "entry": None if is_known else one.clean(one.fields),
            "dated": one.dated,
        }


def _decompressed(data: bytes) -> bytes:
    """Return the bytes, decompressed if they are a gzip file such as `feed.xml.gz`, because its server may not say so.

    Raises `ProviderFailed` if a gzip file can't be decompressed, is cut off or is too large.
    """
    if not data.startswith(_GZIP):
        return data
    reader = zlib.decompressobj(_GZIP_WINDOW)
    try:
        whole = reader.decompress(data, _LARGEST)
    except zlib.error as error:
        raise ProviderFailed("The feed is compressed in a way that can't be read.") from error
    if not reader.eof:
        raise ProviderFailed(f"The feed is cut off, or larger than {_LARGEST >> 20} MB when it is decompressed.")
    return whole


# -- XML


def _xml_entries(data: bytes, url: str, content_type: str) -> list[_Read]:
    """Return the entries of RSS or Atom. Markup that is not well-formed is read as far as possible. Raises
    `ProviderFailed` if it is no feed.
    """
    told: dict[str, Any] = {}
    text = convert_to_utf8({"content-type": content_type}, data, told) if data else b""
    version, text, entities = replace_doctype(text)
    base = make_safe_absolute_uri(url)
    reader: Any = _Strict(base, None, "utf-8")
    if not told.get("encoding") or not _is_read(reader, text):
        reader = _Loose(base, None, "utf-8", entities)
        _only_read(reader).feed(text.decode("utf-8", "replace"))
    if not (version or reader.version):  # many good feeds are not well-formed, so that is not required
        raise ProviderFailed("What is at this address is not an RSS, Atom or JSON feed.")
    by_feed = reader.feeddata.get("authors", ()) if reader.version.startswith("atom") else ()
    return [_read(dict(entry), notes, by_feed, url) for entry, notes in zip(reader.entries, reader.notes, strict=True)]


def _only_read(reader: Any) -> Any:
    """Make a reader of feedparser leave HTML as it is, and return the reader."""
    reader.resolve_relative_uris = reader.sanitize_html = False
    return reader


def _is_read(reader: Any, text: bytes) -> bool:
    source = xml.sax.xmlreader.InputSource()
    source.setByteStream(BytesIO(text))
    parser = xml.sax.expatreader.create_parser(1)  # noqa: S315 in a locked process, without entities
    parser.setFeature(xml.sax.handler.feature_external_ges, 0)
    parser.setContentHandler(_only_read(reader))
    parser.setErrorHandler(reader)
    try:
        parser.parse(source)
    except xml.sax.SAXException:
        return False
    return True


@dataclass
class _Element:
    attributes: Mapping[str, str]
    pieces: list[str] = field(default_factory=list)
    elements: dict[str, list["_Element"]] = field(default_factory=dict)
    is_whole: bool = False  # its end was there: in a feed that is cut off, an id without its end is another id

    def add(self, name: str, attributes: Mapping[str, str]) -> "_Element":
        added = _Element(attributes)
        self.elements.setdefault(name, []).append(added)
        return added


class _Noting:
    """A mixin that notes the ids, the authors and the elements of other namespaces as they are written.

    It stands before a parser of feedparser in the list of base classes. `notes` has one element for each of the
    parser's `entries`, in the same order.
    """

    entries: list[Any]
    inentry: int
    namespacemap: Mapping[str, str]

    def __init__(self, *given: Any) -> None:
        self.notes: list[_Element] = []
        self._open: list[tuple[str, _Element | None]] = []  # within the entry; None for what is not kept
        parent: Any = super()
        parent.__init__(*given)

    def unknown_starttag(self, tag: str, attributes: Sequence[tuple[str, str]]) -> None:
        if self.inentry:
            name = self._name(tag)
            self._open.append((name, self._kept(name, attributes)))
        parent: Any = super()
        parent.unknown_starttag(tag, attributes)

    def unknown_endtag(self, tag: str) -> None:
        if self._open:
            name = self._name(tag)
            place = next((n for n in range(len(self._open) - 1, -1, -1) if self._open[n][0] == name), None)
            if place is not None:  # else the tag was never opened
                if ended := self._open[place][1]:
                    ended.is_whole = True
                del self._open[place:]
        parent: Any = super()
        parent.unknown_endtag(tag)

    def handle_data(self, text: str, escape: int = 1) -> None:
        self._note(text)
        parent: Any = super()
        parent.handle_data(text, escape)

    def handle_charref(self, reference: str) -> None:
        self._note(f"&#{reference};")
        parent: Any = super()
        parent.handle_charref(reference)

    def handle_entityref(self, reference: str) -> None:
        self._note(f"&{reference};")
        parent: Any = super()
        parent.handle_entityref(reference)

    def _end_dc_date(self) -> None:
        parent: Any = super()
        parent._end_dc_date()  # noqa: SLF001 a hook of feedparser
        if self.inentry:
            entry = self.entries[-1]
            entry["dc_date"], entry["dc_date_parsed"] = entry.get("updated"), entry.get("updated_parsed")

    def _start_item(self, attributes: Any) -> None:
        self._open = []
        self.notes.append(_Element({}))
        parent: Any = super()
        parent._start_item(attributes)  # noqa: SLF001

    _start_entry = _start_item

    def _end_item(self) -> None:
        self._open = []
        parent: Any = super()
        parent._end_item()  # noqa: SLF001

    _end_entry = _end_item

    def _name(self, tag: str) -> str:
        prefix, colon, name = tag.lower().rpartition(":")
        prefix = self.namespacemap.get(prefix, prefix) if colon else ""
        return f"{prefix}:{name}" if prefix else name

    def _kept(self, name: str, attributes: Sequence[tuple[str, str]]) -> _Element | None:
        """Note a new element and return it, or return None if elements of this name or depth are not kept."""
        if not self._open:
            parent = self.notes[-1]
            prefix, colon, _ = name.partition(":")
            if name not in _NOTED and (not colon or prefix in _READ_ELSEWHERE):
                return None
        else:
            above = self._open[-1][1]
            if above is None or len(self._open) >= _DEEPEST:
                return None
            parent = above
        held = {_SPELLED.get(key.lower(), key.lower()): self.plain(value) for key, value in attributes}
        held = {key: value for key, value in held.items() if not key.startswith("xmlns")}
        return parent.add(_SPELLED.get(name, name), held)

    def _note(self, text: str) -> None:
        if self._open and (kept := self._open[-1][1]):
            kept.pieces.append(self.plain(text))

    @staticmethod
    def plain(text: str) -> str:
        return text


class _Gathering(_Noting):
    """The mixin `_Noting` for the parser of XML, which gives text in very many small parts. The parts are joined before
    they are handled.
    """

    def __init__(self, *given: Any) -> None:
        self._gathered: list[str] = []
        super().__init__(*given)

    def characters(self, text: str) -> None:
        self._gathered.append(text)

    def startElementNS(self, *given: Any) -> None:  # noqa: N802
        self._hand_over()
        parent: Any = super()
        parent.startElementNS(*given)

    def endElementNS(self, *given: Any) -> None:  # noqa: N802
        self._hand_over()
        parent: Any = super()
        parent.endElementNS(*given)

    def _hand_over(self) -> None:
        if self._gathered:
            self.handle_data("".join(self._gathered))
            self._gathered.clear()


class _Unescaping(_Noting):
    """The mixin `_Noting` for the parser of markup that is no XML. That parser leaves character references such as
    `&amp;` as they are, so the notes replace them.
    """

    @staticmethod
    def plain(text: str) -> str:
        return unescape(text)


_Strict: Any = type("_Strict", (_Gathering, StrictFeedParser), {})
_Loose: Any = type("_Loose", (_Unescaping, LooseFeedParser), {})


def _read(found: Mapping[str, Any], notes: _Element, by_feed: Sequence[Any], url: str) -> _Read:
    """Return the entry that feedparser read as `found` and whose notes are `notes`. It has the authors `by_feed` if it
    has none of its own.

    `found` must be a plain dict, because feedparser's own dict returns the value of another key for a missing one.
    """
    published, updated = _moment(found, "published"), _moment(found, "updated")
    ids = [
        text for name in ("guid", "id") for one in notes.elements.pop(name, ()) if one.is_whole and (text := _text(one))
    ]
    authors = _authors(_by(notes)) or _authors(by_feed)
    fields = {
        "id": ids[-1] if ids else found.get("id"),
        "title": found.get("title"),
        "link": found.get("link"),
        "summary": found.get("summary"),
        "content": next((part["value"] for part in found.get("content", ())), None),
        "author": _display(authors) if len(authors) > 1 else found.get("author") or _display(authors),
        "authors": authors,
        "published": _iso(published or _moment(found, "dc_date")),
        "updated": _iso(updated),
        "categories": [tag["term"] for tag in found.get("tags", ()) if tag.get("term")],
        "enclosures": [
            {"url": link.get("href"), "type": link.get("type"), "length": link.get("length")}
            for link in found.get("links", ())
            if link.get("rel") == "enclosure"
        ],
        "extensions": {name: [_told(one) for one in several] for name, several in notes.elements.items()},
    }
    return _Read(
        fields=_clean_text(fields),
        dated=published or updated,
        clean=lambda given: _with_clean_html(given, found, url),
        former=_clean_text({"id": found.get("id"), "author": found.get("author"), "published": _iso(published)}),
    )


def _with_clean_html(fields: Mapping[str, Any], found: Mapping[str, Any], url: str) -> Mapping[str, Any]:
    """Return the fields with clean HTML in the title, the summary and the content.

    `found` is the entry as feedparser read it. Relative links are made absolute from the base that `found` names, or
    else from `url`.
    """
    parts = [found.get("title_detail"), found.get("summary_detail"), *found.get("content", ())]
    forms = {part["value"]: (part.get("type") or "", part.get("base") or url) for part in parts if part}
    cleaned = dict(fields)
    for name, raw in (
        ("title", found.get("title")),
        ("summary", found.get("summary")),
        ("content", next((part["value"] for part in found.get("content", ())), None)),
    ):
        if raw:
            form, base = forms.get(raw, ("text/html", url))
            cleaned[name] = _clean_text(_clean_html(raw, form, base)) if form in _HTML else fields[name]
    return cleaned


def _clean_html(html: str, form: str, base: str) -> str:
    """Return HTML with absolute links and without elements that run code. `form` is its media type, and `base` the
    address from which its relative links start.
    """
    if not _MARKUP.search(html):
        return html.strip().replace("\r\n", "\n")
    cleaner = _Cleaner("utf-8", form)
    cleaner.base = base
    cleaner.feed(html.replace("<![CDATA[", "&lt;![CDATA["))
    cleaned: str = cleaner.output().strip().replace("\r\n", "\n")
    return cleaned


class _Resolving:
    """A mixin that makes links absolute. The address of a frame is kept only if it leads to a page on the web, such as
    a video.

    It stands before the cleaner of feedparser in the list of base classes, so one pass over the HTML is enough.
    """

    base: str

    def unknown_starttag(self, tag: str, attributes: list[tuple[str, str]]) -> None:
        resolved = [(name.lower(), self._resolved(tag, name.lower(), value)) for name, value in attributes]
        if tag == "iframe":
            resolved = [one for one in resolved if one[0] != "src" or _ON_THE_WEB.match(one[1])]
        parent: Any = super()
        parent.unknown_starttag(tag, resolved)

    def _resolved(self, tag: str, name: str, value: str) -> str:
        if (tag, name) not in RelativeURIResolver.relative_uris:
            return value
        return make_safe_absolute_uri(self.base, value.strip()) or value


_Cleaner: Any = type(
    "_Cleaner",
    (_Resolving, _HTMLSanitizer),
    {
        "acceptable_elements": _HTMLSanitizer.acceptable_elements | {"iframe"},
        "acceptable_attributes": _HTMLSanitizer.acceptable_attributes | {"allowfullscreen"},
    },
)


def _text(element: _Element) -> str:
    return "".join(element.pieces).strip()


def _told(element: _Element) -> Any:
    text = _text(element)
    if not element.attributes and not element.elements:
        return text
    inner = {name: [_told(one) for one in several] for name, several in element.elements.items()}
    return {**element.attributes, **({"text": text} if text else {}), **inner}


def _by(notes: _Element) -> Iterator[Mapping[str, Any]]:
    """Yield the authors that the notes of an entry hold, and take the elements of `_NOTED` among them out of the notes.
    feedparser itself mixes the parts of several authors.
    """
    for name in ("author", "dc:creator", "dc:author", "itunes:author"):
        for one in notes.elements.pop(name, ()) if name in _NOTED else notes.elements.get(name, ()):
            if parts := {part: _text(held[-1]) for part, held in one.elements.items()}:
                yield {
                    "name": parts.get("name"),
                    "email": parts.get("email"),
                    "href": parts.get("uri", parts.get("url")),
                }
            else:
                text = _text(one)
                address = next((found for form in _ADDRESSES if (found := form.fullmatch(text))), None)
                yield address.groupdict() if address else {"name": text}


def _authors(given: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the authors that have a name, an e-mail address or a URL, each once."""
    names = {"name": "name", "email": "email", "url": "href"}
    authors = [{ours: (one.get(theirs) or "").strip() or None for ours, theirs in names.items()} for one in given]
    return list({tuple(one.values()): one for one in authors if any(one.values())}.values())


def _display(authors: Sequence[Mapping[str, Any]]) -> str | None:
    return ", ".join(dict.fromkeys(one["name"] or one["email"] or one["url"] for one in authors)) or None


def _moment(found: Mapping[str, Any], name: str) -> datetime | None:
    """Return the time `name` of an entry, such as `published`, in UTC, or None if there is none or Python's dates can't
    hold it.
    """
    parsed: struct_time | None = found.get(f"{name}_parsed")
    try:
        if moment := _in_named_zone(found.get(name) or ""):
            return moment
        return datetime(*parsed[:5], min(parsed[5], 59), tzinfo=UTC) if parsed else None  # a leap second is 60
    except (ValueError, OverflowError):
        return None


def _in_named_zone(text: str) -> datetime | None:
    """Return the time in UTC if its text ends with the name of a zone that we know and feedparser does not, or None
    otherwise.
    """
    parts = _NAMED_ZONE.fullmatch(text.strip())
    if not parts or (hours := _ZONES.get(parts[2].upper())) is None:
        return None
    clock = parts[1].strip()
    read = parsedate_tz(clock)
    moment = datetime(*read[:6]) if read else datetime.fromisoformat(clock)
    return moment.replace(tzinfo=timezone(timedelta(hours=hours))).astimezone(UTC)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _clean_text(value: Any) -> Any:
    """Return a JSON value without the characters in its texts that are not allowed in JSON or in a database."""
    match value:
        case str():
            return _NEVER_TEXT.sub("", value)
        case dict():
            return {_clean_text(name): _clean_text(part) for name, part in value.items()}
        case list():
            return [_clean_text(part) for part in value]
        case _:
            return value


# -- JSON


def _json_entries(data: bytes) -> list[_Read]:
    """Return the items of a JSON feed. Raises `ProviderFailed` if the data is JSON but no feed, and `ValueError` if it
    is not JSON.

    A part of an item is left out if it does not have the type that JSON Feed defines for it.
    """
    feed = from_json(data.lstrip(b"\xef\xbb\xbf"))
    items = feed.get("items")
    if not str(feed.get("version", "")).startswith("https://jsonfeed.org/version/") or not isinstance(items, list):
        raise ProviderFailed("What is at this address is not an RSS, Atom or JSON feed.")
    return [_json_entry(item, feed) for item in items if isinstance(item, dict)]


def _json_entry(item: Mapping[str, Any], feed: Mapping[str, Any]) -> _Read:
    authors = _authors([{**one, "href": _string(one.get("url"))} for one in _people(item) or _people(feed)])
    published, updated = _json_moment(item.get("date_published")), _json_moment(item.get("date_modified"))
    html, text = _string(item.get("content_html")), _string(item.get("content_text"))
    fields: dict[str, Any] = {
        "id": _string(item.get("id")),
        "title": _string(item.get("title")),
        "link": _string(item.get("url")) or _string(item.get("external_url")),
        "summary": _string(item.get("summary")),
        "content": html or text,
        "author": _display(authors),
        "authors": authors,
        "published": _iso(published),
        "updated": _iso(updated),
        "categories": [tag for tag in _list(item.get("tags")) if isinstance(tag, str)],
        "enclosures": [
            {
                "url": _string(one.get("url")),
                "type": _string(one.get("mime_type")),
                "length": _string(one.get("size_in_bytes")),
            }
            for one in _list(item.get("attachments"))
            if isinstance(one, dict)
        ],
        "extensions": {
            name: [value]
            for name, value in item.items()
            if name.startswith("_") or name in {"image", "banner_image", "external_url", "language"}
        },
    }
    base = fields["link"] or _string(feed.get("home_page_url")) or ""

    def clean(given: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**given, "content": _clean_text(_clean_html(html, "text/html", base))} if html else given

    return _Read(_clean_text(fields), published or updated, clean, _clean_text({"id": fields["id"]}))


def _people(of: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for one in [*_list(of.get("authors")), of.get("author")] if isinstance(one, dict)]


def _json_moment(value: Any) -> datetime | None:
    """Return the time of an RFC 3339 text in UTC, or None for any other value. A time without an offset is taken as
    UTC.
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _string(value: Any) -> str | None:
    """Return a text as it stands, or a number as text, because many feeds have numbers for ids. Return None for any
    other value and for an empty text.
    """
    match value:
        case bool():
            return None
        case str():
            return value or None
        case int() | float():
            return str(value)
        case _:
            return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
