"""Makes identifiers from the names that users chose."""

import re
import unicodedata
from collections.abc import Container
from itertools import count

_LETTER = re.compile("LATIN SMALL (?:LETTER|LIGATURE) ([A-Z]{1,2})(?: WITH .*)?")
_SPELLED = {"ß": "ss", "ð": "d", "þ": "th", "ı": "i", "ȷ": "j", "ŋ": "ng", "ə": "e", "ɛ": "e", "ɔ": "o", "ʒ": "z"}


def kebab(text: str, fallback: str = "trigger") -> str:
    """Return the text as a slug like `new-issue-created`, of ASCII letters and digits only, or `fallback` if the text
    has none of these.
    """
    return "-".join(re.findall("[a-z0-9]+", _folded(text))) or fallback


def camel(label: str, fallback: str = "field") -> str:
    """Return the label in camel case, such as `projectId` for `Project ID`, or `fallback` if it has no words.

    Letters of other scripts than Latin stay, so that labels in these scripts stay different.
    """
    first, *others = _words(label) or [fallback]
    return first + "".join(word.capitalize() for word in others)


def snake(label: str, fallback: str = "field") -> str:
    """Return the label in snake case, such as `project_id` for `Project ID`, or `fallback` if it has no words. Letters
    of all scripts stay.
    """
    return "_".join(_words(label)) or fallback


def unused(slug: str, used: Container[str]) -> str:
    """Return the first of `slug`, `slug-2`, `slug-3` and so on that is not in `used`."""
    if slug not in used:
        return slug
    return next(numbered for n in count(2) if (numbered := f"{slug}-{n}") not in used)


def utf16_length(text: str) -> int:
    """Return the length in UTF-16 units, as JavaScript counts. Most characters are one unit, emojis two or more."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _words(text: str) -> list[str]:
    """Return the words of a text in lower case. Combining marks stay with their letters, or words of many scripts would
    fall apart.
    """
    kept = "".join(c if c.isalnum() or _is_mark(c) else " " for c in unicodedata.normalize("NFKC", text.lower()))
    return [word for word in kept.split() if not all(map(_is_mark, word))]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _folded(text: str) -> str:
    """Return the text in lower case and without accents. `É` becomes `e`, `Ł` becomes `l`, `ß` becomes `ss`."""
    plain = (c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return "".join(map(_latin, plain))


def _latin(character: str) -> str:
    """Return the ASCII letters for a lower-case Latin letter, such as `o` for `ø`, from which no accent can be taken
    away. Other characters stay.
    """
    if character.isascii():
        return character
    named = _LETTER.fullmatch(unicodedata.name(character, ""))
    return named[1].lower() if named else _SPELLED.get(character, character)
