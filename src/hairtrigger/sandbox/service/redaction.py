"""Replaces secrets in texts by `***`, also in the forms in which polling code puts them into requests.

A secret is found as it is, inside JSON, percent-encoded, as `URL` writes it into each part of a URL, as in a form, and
in Base64, also in the middle of something longer (`btoa("user:" + secret)`). A secret of up to three characters would
be found in every other word. So it is hidden only if no letter, digit or underscore is next to it, as in headers, URLs
and JSON. Other things that code makes of a secret (a hash, its letters backwards) are not recognised.

A tenant chooses the texts and the secrets, and the service has one event loop. So the time of the work grows only
linearly with the text, because nothing is compared at a place where no form begins. The comparisons are counted. When
one poll has needed too many of them, all of its further texts are hidden as a whole. All work can be done in slices
(`slices`).
"""

import base64
import codecs
import heapq
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from hairtrigger.sandbox.service.slices import Work, at_once

MARK = "***"
SHORT = 3  # characters
MOST_COMPARED = 1_000_000  # by default
_HEAD = 4  # first characters of a form, which are searched for
_FEW = 64  # heads, up to which each is searched for alone
_WINDOW = 4096  # characters in which heads are searched for without a yield
_PIECE = 8192  # characters up to which a comparison counts as one
_TOGETHER = 8192  # characters of short texts that are joined and searched together
_CHUNK = 1024  # forms that are sorted without a yield
_AT_ONCE = 64  # steps between two yields, where one step is short
_MARGIN = 64  # UTF-16 units, far more than a head has

_UNESCAPED = "-_.!~*'()"  # encodeURIComponent leaves these, and letters and digits
_IN_URLS = _UNESCAPED + ";/?:@&=+$,#"  # encodeURI leaves these too
_ALL = frozenset(range(0x21, 0x7F))
# The printable characters that are escaped in the parts of a URL, after
# https://url.spec.whatwg.org/#percent-encoded-bytes.
_PARTS = {
    "fragment": '"<>`',
    "query": '"#<>',
    "special query": "\"#<>'",
    "path": '"#<>?^`{}',
    "userinfo": '"#<>?^`{}/:;=@[\\]|',
}
_TABLES = {
    part: [chr(byte) if byte in _ALL - set(escaped.encode()) else f"%{byte:02X}" for byte in range(256)]
    for part, escaped in _PARTS.items()
}
_WITHOUT_BREAKS = str.maketrans("", "", "\t\n\r")  # `URL` removes these characters
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")

Span = tuple[int, int]


class Redaction:
    """Hides the secrets of one poll in texts and JSON values.

    `most_compared` limits the comparisons for all texts together, because secrets and texts can be chosen so that they
    need many. Each kind of work can be done at once, or as `Work` in slices.
    """

    def __init__(self, secrets: Iterable[str], most_compared: int = MOST_COMPARED) -> None:
        self._secrets = dict.fromkeys(secret for secret in secrets if secret)
        self._left = most_compared
        self._families: tuple[_Family, ...] | None = None

    @property
    def longest(self) -> int:
        """Return how many UTF-16 units a text that its maker cuts must have beyond the part that is shown, so that a
        secret at the cut is still recognised.
        """
        return _MARGIN if self._secrets else 0

    def __call__(self, text: str, length: int) -> str:
        return at_once(self.shown(text, length))

    def whole(self, text: str) -> str:
        return at_once(self.all_of(text))

    def json(self, value: Any) -> Any:
        return at_once(self.in_json(value))

    def shown(self, text: str, length: int, *, cut: bool | None = None) -> Work[str]:
        """Return the first `length` characters of `text`, counted before redaction, with `***` in place of each secret.

        A secret that begins within them is hidden as a whole. If the poll's comparisons are used up, the result is
        `***` alone. The maker of the text may have cut it before, after at least `length + longest` UTF-16 units. Then
        its last `longest` characters are not shown. `cut` says whether it did. If `cut` is None, every text that is at
        least that long counts as cut.
        """
        if cut is None:
            cut = _units(text) >= length + self.longest
        if cut:
            text = text.removesuffix("\ufffd")  # this may be half of a surrogate pair
            length = min(length, max(0, len(text) - self.longest))
        return (yield from self._hidden(text, length, cut=cut))

    def all_of(self, text: str) -> Work[str]:
        return (yield from self._hidden(text, len(text), cut=False))

    def in_json(self, value: Any) -> Work[Any]:
        """Return the JSON value with every text in it redacted, the keys of objects included. The given value is not
        changed.
        """
        texts = yield from _texts_in(value)
        changed: dict[str, str] = {}
        for together in _batches(texts):
            if (yield from self._concerns("\n".join(together))):
                for text in together:
                    if (hidden := (yield from self.all_of(text))) != text:
                        changed[text] = hidden
            yield
        return (yield from _replaced(value, changed)) if changed else value

    def _hidden(self, text: str, length: int, *, cut: bool) -> Work[str]:
        if not self._secrets:
            return text[:length]
        spans: list[Span] = []
        for family in (yield from self._prepared()):
            if self._left >= 0:
                spans += yield from self._found(family, text, length, cut=cut)
        if self._left < 0:
            return MARK
        parts: list[str] = []
        end = 0
        for number, (start, stop) in enumerate(_merged(sorted(spans))):
            if start >= length:
                break
            parts += text[end:start], MARK
            end = stop
            if number % _AT_ONCE == 0:
                yield
        return "".join(parts) + text[end:length]

    def _concerns(self, text: str) -> Work[bool]:
        """Return whether the text may hold a secret, and so must be searched."""
        if not self._secrets or self._left < 0:
            return bool(self._secrets)
        for family in (yield from self._prepared()):
            for start in range(0, len(text), _WINDOW):
                if family.begins_in(text, start, start + _WINDOW):
                    return True
                yield
        return self._left < 0

    def _found(self, family: "_Family", text: str, length: int, *, cut: bool) -> Work[list[Span]]:
        spans: list[Span] = []
        for window in range(0, length, _WINDOW):
            begins = sorted(family.begins_in(text, window, min(length, window + _WINDOW)))
            for number, start in enumerate(begins):
                if self._left < 0:
                    return spans
                compared, span = family.at(text, start, cut=cut)
                self._left -= compared
                if span and spans and span[0] < spans[-1][1]:
                    spans[-1] = spans[-1][0], max(spans[-1][1], span[1])
                elif span:
                    spans.append(span)
                if number % _AT_ONCE == 0:
                    yield
            yield
        return spans

    def _prepared(self) -> Work[tuple["_Family", ...]]:
        if self._families is None:
            self._families = yield from _families(self._secrets)
        return self._families


class _Family:
    """A group of forms of secrets, each of which is found by its first characters. Their number is the same for all
    forms of the group.

    With `alone`, a form is hidden only if no letter, digit or underscore is next to it.
    """

    def __init__(self, size: int, *, alone: bool) -> None:
        self._size = size
        self._alone = alone
        self._heads: dict[str, list[str]] = {}
        # By head, for each of its forms: the place of the longest other form that it begins with, or -1.
        self._longer: dict[str, list[int]] = {}
        self._cores: set[str] = set()  # the forms in Base64
        self._longest = 0

    def add(self, form: str, *, core: bool) -> None:
        self._heads.setdefault(form[: self._size], []).append(form)
        self._longest = max(self._longest, len(form))
        if core:
            self._cores.add(form)

    def ordered(self) -> Work[None]:
        for head, forms in self._heads.items():
            chunks = [sorted(forms[at : at + _CHUNK]) for at in range(0, len(forms), _CHUNK)]
            ordered: list[str] = []
            longer: list[int] = []
            for form in chunks[0] if len(chunks) == 1 else heapq.merge(*chunks):
                if ordered and form == ordered[-1]:
                    continue
                longer.append(_beginning(form, ordered, longer))
                ordered.append(form)
                if len(ordered) % _AT_ONCE == 0:
                    yield
            self._heads[head], self._longer[head] = ordered, longer
            yield

    def begins_in(self, text: str, start: int, stop: int) -> list[int]:
        """Return the places in the text, from `start` on and before `stop`, at which a form of this group may begin, in
        any order.
        """
        size, heads = self._size, self._heads
        stop = min(stop, len(text))
        if len(heads) > _FEW:
            return [at for at in range(start, stop) if text[at : at + size] in heads]
        found = []
        for head in heads:
            at = text.find(head, start, stop + size - 1)
            while at >= 0:
                found.append(at)
                at = text.find(head, at + 1, stop + size - 1)
        return found

    def at(self, text: str, start: int, *, cut: bool) -> tuple[int, Span | None]:
        """Return how many comparisons were made, and the span of the longest form that begins at `start`, or None if
        none does.

        At the end of a text that was cut, the beginning of a form counts as the form.
        """
        head = text[start : start + self._size]
        forms, longer = self._heads[head], self._longer[head]
        piece = text[start : start + self._longest]
        each = 1 + len(piece) // _PIECE
        compared = each
        if cut and len(piece) == len(text) - start:
            next_ = bisect_left(forms, piece)
            if next_ < len(forms) and forms[next_].startswith(piece):
                return compared, self._span(text, start, forms[next_], len(text))
        at = bisect_right(forms, piece) - 1
        while at >= 0:
            form = forms[at]
            compared += each
            if piece.startswith(form):
                return compared, self._span(text, start, form, start + len(form))
            at = longer[at]
        return compared, None

    def _span(self, text: str, start: int, form: str, stop: int) -> Span | None:
        if form in self._cores:  # the characters next to it hold a part of the secret's bits
            start -= start > 0 and text[start - 1] in _BASE64
            stop += text[stop : stop + 1] in _BASE64 and stop < len(text)
        if self._alone and _is_in_a_word(text, start, stop):
            return None
        return start, stop


def _families(secrets: Iterable[str]) -> Work[tuple[_Family, ...]]:
    found: dict[tuple[int, bool], _Family] = {}
    for secret in secrets:
        alone = len(secret) <= SHORT
        forms: dict[str, bool] = {}
        for form in _texts(secret):
            forms[form] = False
            yield
        cores: Iterable[str] = () if alone else _cores(secret)
        for core in cores:
            forms[core] = True
            yield
        for form, is_core in forms.items():
            key = min(len(form), _HEAD), alone or len(form) <= SHORT
            family = found.get(key)
            if family is None:
                family = found[key] = _Family(key[0], alone=key[1])
            family.add(form, core=is_core)
            yield
    for family in found.values():
        yield from family.ordered()
    return tuple(found.values())


def _beginning(form: str, ordered: list[str], longer: list[int]) -> int:
    """Return the place in `ordered` of the longest form that is a beginning of `form`, or -1 if there is none.

    `longer` holds the same for each form in `ordered`.
    """
    before = len(ordered) - 1
    while before >= 0 and not form.startswith(ordered[before]):
        before = longer[before]
    return before


def _texts(secret: str) -> Iterator[str]:
    yield secret
    if not secret.isascii() or not secret.isalnum():
        yield json.dumps(secret, ensure_ascii=False)[1:-1]
        yield json.dumps(secret)[1:-1]
        for encoded in _percent_encoded(secret):
            yield encoded
            yield _lower(encoded)
    if (name := secret.lower()) != secret:  # as in the name of a host
        yield name


def _percent_encoded(secret: str) -> Iterator[str]:
    yield quote(secret, _UNESCAPED, errors="replace")
    yield quote(secret, _IN_URLS, errors="replace")
    yield quote(secret, "", errors="replace")
    yield quote_plus(secret, "*", errors="replace").replace("~", "%7E")  # as URLSearchParams writes it
    yield quote_plus(secret, "*", errors="replace")
    in_urls = secret.translate(_WITHOUT_BREAKS)
    for text in (in_urls, in_urls.replace("\\", "/")):
        data = text.encode("utf-8", "replace")
        for table in _TABLES.values():
            if form := "".join(map(table.__getitem__, data)):
                yield form


def _lower(encoded: str) -> str:
    """Return the percent-encoded text with its digits in lower case, so with `%2f` instead of `%2F`."""
    first, *rest = encoded.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _cores(secret: str) -> Iterator[str]:
    """Yield, for each of the three places at which a secret may begin within a group of three bytes, the characters of
    its Base64 that depend on nothing but the secret. They are given in the standard alphabet, in the alphabet for URLs,
    and percent-encoded.
    """
    raw = secret.encode("utf-8", "replace")
    latin = [secret.encode("latin-1")] if not secret.isascii() and max(secret) <= "\xff" else []  # as btoa encodes it
    for data in (raw, *latin):
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + data).decode()
            first = -(-before * 8 // 6)
            last = (before + len(data)) * 8 // 6
            core = encoded[first:last]
            yield core
            yield core.replace("+", "-").replace("/", "_")
            yield core.replace("+", "%2B").replace("/", "%2F")


def _is_in_a_word(text: str, start: int, stop: int) -> bool:
    around = text[start - 1 : start] + text[stop : stop + 1] if start else text[stop : stop + 1]
    return any(one.isalnum() or one == "_" for one in around)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans in order, with spans that overlap joined to one. The given spans must be sorted."""
    start = stop = -1
    for one, other in spans:
        if one >= stop:
            if stop > 0:
                yield start, stop
            start = one
        stop = max(stop, other)
    if stop > 0:
        yield start, stop


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


# JSON.


def _texts_in(value: Any) -> Work[list[str]]:
    """Return all texts in the JSON value, the keys of objects included, each text once."""
    found: dict[str, None] = {}
    rest = [value]
    steps = 0
    while rest:
        match rest.pop():
            case str() as text:
                found[text] = None
            case list() as items:
                rest += items
            case dict() as members:
                found.update(dict.fromkeys(map(str, members)))
                rest += members.values()
        steps += 1
        if steps % _AT_ONCE == 0:
            yield
    return list(found)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text) + 1
        if size >= _TOGETHER:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _replaced(value: Any, changed: dict[str, str]) -> Work[Any]:
    yield
    match value:
        case str():
            return changed.get(value, value)
        case list():
            items: list[Any] = []
            for one in value:
                item = yield from _replaced(one, changed)
                items.append(item)
            return items
        case dict():
            members = {}
            for name, one in value.items():
                members[changed.get(str(name), str(name))] = yield from _replaced(one, changed)
            return members
        case _:
            return value


def decoded(data: bytes, most: int) -> tuple[str, bool]:
    """Return the first `most` bytes as text, and whether there are more bytes. A character that the limit cuts is left
    out, and bytes that are not UTF-8 are replaced.
    """
    cut = len(data) > most
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data[:most], final=not cut), cut
