import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hairtrigger.domain.slug import camel, kebab, snake, unused, utf16_length

_WORDS = st.lists(st.text(string.ascii_letters, min_size=1), min_size=1)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("New Issue Created", "new-issue-created"),
        ("  New   issue -- created!  ", "new-issue-created"),
        ("Émission créée", "emission-creee"),
        ("GitHub PR #2", "github-pr-2"),
        ("日本 issue", "issue"),
        ("日本語", "trigger"),
        ("🚀", "trigger"),
        ("", "trigger"),
    ],
)
def test_a_name_becomes_a_url_friendly_slug(name: str, slug: str) -> None:
    assert kebab(name) == slug


@pytest.mark.parametrize(
    ("label", "slug"),
    [
        ("Project ID", "projectId"),
        ("User ID", "userId"),
        ("Priority Filter", "priorityFilter"),
        ("api_key", "apiKey"),
        ("Straße", "straße"),
        ("Größe (cm)", "größeCm"),
        ("プロジェクト 名", "プロジェクト名"),
        ("Émission", "émission"),
        ("परियोजना", "परियोजना"),
        ("❤️ Rate", "rate"),
        ("🚀", "field"),
    ],
)
def test_a_label_becomes_a_camel_case_slug(label: str, slug: str) -> None:
    assert camel(label) == slug


def test_a_label_has_a_snake_case_name_too() -> None:
    assert snake("Project ID") == "project_id"


@given(st.text())
@example("İstanbul")
@example("ǅ ﬁ ŉ")
@example("❤️")
def test_a_slug_is_never_empty_and_keeps_to_its_alphabet(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kebab(text))
    assert camel(text).split() == [camel(text)]
    assert "_" not in camel(text)
    assert all(snake(text).split("_"))


@given(st.text())
def test_making_a_slug_of_a_slug_changes_nothing(text: str) -> None:
    assert kebab(kebab(text)) == kebab(text)


@given(_WORDS, st.sampled_from(" _-./"))
def test_only_the_words_of_a_label_count(words: list[str], separator: str) -> None:
    assert camel(separator.join(words)) == camel(" ".join(words).upper())
    assert kebab(separator.join(words)) == snake(" ".join(words)).replace("_", "-")


@given(st.lists(st.sampled_from("ab"), max_size=20))
def test_slugs_made_one_after_the_other_are_distinct(wanted: list[str]) -> None:
    used: set[str] = set()
    for slug in wanted:
        used.add(unused(slug, used))

    assert len(used) == len(wanted)


def test_a_taken_slug_gets_the_first_free_number() -> None:
    assert unused("a", {"b"}) == "a"
    assert unused("a", {"a", "a-3"}) == "a-2"


@given(st.text(), st.text())
def test_utf16_units_add_up(one: str, other: str) -> None:
    assert utf16_length(one + other) == utf16_length(one) + utf16_length(other)


@pytest.mark.parametrize(("text", "units"), [("", 0), ("é", 1), ("漢", 1), ("😀", 2), ("👨‍👩‍👧", 8), ("\ud83d", 1)])
def test_characters_are_counted_as_javascript_counts_them(text: str, units: int) -> None:
    assert utf16_length(text) == units


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Ødegård", "odegard"),
        ("Łódź", "lodz"),
        ("Straße", "strasse"),
        ("Ærø", "aero"),
        ("Œuvre", "oeuvre"),
        ("Đà", "da"),
    ],
)
def test_latin_letters_without_accents_are_spelled_in_ascii(name: str, slug: str) -> None:
    assert kebab(name) == slug
