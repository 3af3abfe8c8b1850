"""Keeps the slugs of input fields when the trigger of an integration is replaced.

Project triggers store their values under the slugs. So a new field that is recognised as an old one gets the slug of
the old one, because a value would be lost under another slug.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, takewhile

from hairtrigger.domain.integration import InputField


def with_kept_slugs(before: Sequence[InputField], after: Sequence[InputField]) -> tuple[InputField, ...]:
    """Return the fields of `after`. A field that is recognised as one of `before` gets the slug of that old field;
    another field keeps its own slug, with a number added if the slug is taken.

    Fields are recognised as the same by equal labels, or else by equal slugs. Of the remaining fields, two are the same
    if they have the same type and similar labels, or else if they stand at the same place and differ in nothing but
    label and slug.
    """
    kept = _recognised(before, after)
    taken = set(kept.values())
    fields = []
    for place, one in enumerate(after):
        slug = kept.get(place) or next(name for name in _numbered(one.slug) if name not in taken)
        taken.add(slug)
        fields.append(replace(one, slug=slug))
    return tuple(fields)


def _recognised(before: Sequence[InputField], after: Sequence[InputField]) -> dict[int, str]:
    """Return the slug that each recognised field keeps, by the field's place in `after`. It is the slug of the old
    field as which the new one is recognised. Other fields are left out.
    """
    old = dict(enumerate(before))
    found: dict[int, str] = {}
    for same in (_same_label, _same_slug, _similar, _renamed):
        for place, one in enumerate(after):
            match = None if place in found else next((at for at in old if same(old[at], one, at == place)), None)
            if match is not None:
                found[place] = old.pop(match).slug
    return found


def _same_label(old: InputField, new: InputField, _: bool) -> bool:  # noqa: FBT001
    return old.label == new.label


def _same_slug(old: InputField, new: InputField, _: bool) -> bool:  # noqa: FBT001
    return old.slug == new.slug


def _similar(old: InputField, new: InputField, _: bool) -> bool:  # noqa: FBT001
    """Return whether the types are equal and the labels begin alike. Upper and lower case count as the same.

    The common beginning must be at least half of the longer label, or the whole of the shorter one.
    """
    shorter, longer = sorted((old.label.casefold(), new.label.casefold()), key=len)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(shorter, longer, strict=False)))
    return old.type == new.type and (2 * alike >= len(longer) or alike == len(shorter))


def _renamed(old: InputField, new: InputField, in_place: bool) -> bool:  # noqa: FBT001
    return in_place and replace(old, slug=new.slug, label=new.label) == new


def _numbered(slug: str) -> Iterator[str]:
    yield slug
    for number in count(2):
        yield f"{slug}{number}"
