"""Identifiers made from the names that users chose."""

import re
import unicodedata
from collections.abc import Container
from itertools import count

_LETTER = re.compile("LATIN SMALL (?:LETTER|LIGATURE) ([A-Z]{1,2})(?: WITH .*)?")
_SPELLED = {"ß": "ss", "ð": "d", "þ": "th", "ı": "i", "ȷ": "j", "ŋ": "ng", "ə": "e", "ɛ": "e", "ɔ": "o", "ʒ": "z"}


def kebab(text: str, fallback: str = "trigger") -> str:
    """Return `new-issue-created` for `New Issue Created`: only ASCII, or `fallback` if nothing is left."""
    return "-".join(re.findall("[a-z0-9]+", _folded(text))) or fallback


def camel(label: str, fallback: str = "field") -> str:
    """Return `projectId` for `Project ID`. Letters of other scripts stay, so that labels in them stay different."""
    first, *others = _words(label) or [fallback]
    return first + "".join(word.capitalize() for word in others)


def snake(label: str, fallback: str = "field") -> str:
    """Return `project_id` for `Project ID`."""
    return "_".join(_words(label)) or fallback


def unused(slug: str, used: Container[str]) -> str:
    """Return the first unused one of `slug`, `slug-2`, `slug-3` and so on."""
    if slug not in used:
        return slug
    return next(numbered for n in count(2) if (numbered := f"{slug}-{n}") not in used)


def utf16_length(text: str) -> int:
    """Return the length as JavaScript counts it: most characters are one unit, an emoji is two or more."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _words(text: str) -> list[str]:
    """Return the words in lower case. Marks stay with their letters, or words of many scripts would fall apart."""
    kept = "".join(c if c.isalnum() or _is_mark(c) else " " for c in unicodedata.normalize("NFKC", text.lower()))
    return [word for word in kept.split() if not all(map(_is_mark, word))]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _folded(text: str) -> str:
    """Return the text in lower case and without accents: `É` becomes `e`, `Ł` becomes `l`, `ß` becomes `ss`."""
    plain = (c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return "".join(map(_latin, plain))


def _latin(character: str) -> str:
    """Return a Latin letter that has no accent to take away, such as `ø`, in letters of ASCII."""
    if character.isascii():
        return character
    named = _LETTER.fullmatch(unicodedata.name(character, ""))
    return named[1].lower() if named else _SPELLED.get(character, character)
