"""The slugs of input fields when a trigger is replaced: a field keeps its slug while it can be recognised.

Project triggers store their values under the slugs, so a field with a new slug would lose its value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, takewhile

from hairtrigger.domain.integration import InputField


def with_kept_slugs(before: Sequence[InputField], after: Sequence[InputField]) -> tuple[InputField, ...]:
    """Return the new fields, each with the slug of the old field that it is, if it is one.

    A field is recognised by its label, then by its slug. Of those that are left, a field is recognised if it has the
    same type and a similar label, or if nothing but its label has changed and it stands at the same place.
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
    """Return the slugs of old fields by the place of the new field."""
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
    """Return whether the labels begin alike: by half of the longer one, or by the whole of the shorter one."""
    shorter, longer = sorted((old.label.casefold(), new.label.casefold()), key=len)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(shorter, longer, strict=False)))
    return old.type == new.type and (2 * alike >= len(longer) or alike == len(shorter))


def _renamed(old: InputField, new: InputField, in_place: bool) -> bool:  # noqa: FBT001
    return in_place and replace(old, slug=new.slug, label=new.label) == new


def _numbered(slug: str) -> Iterator[str]:
    yield slug
    for number in count(2):
        yield f"{slug}{number}"
