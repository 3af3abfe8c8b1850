"""A project trigger of a user's integration takes inputs as its configuration, and its polling code sees them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hairtrigger.domain.integration import FieldType, InputField, Option
from hairtrigger.domain.slug import camel
from hairtrigger.services.setup.integrations import config_model, inputs_of


def _field(label: str, type_: FieldType = "TEXT", **more: Any) -> InputField:
    return InputField(slug=camel(label), label=label, type=type_, **more)


def _inputs(fields: list[InputField], params: dict[str, Any]) -> dict[str, Any]:
    return inputs_of(fields, config_model(fields).model_validate(params))


def _issues(fields: list[InputField], params: dict[str, Any]) -> list[tuple[int | str, ...]]:
    with pytest.raises(ValidationError) as refused:
        config_model(fields).model_validate(params)
    return [issue["loc"] for issue in refused.value.errors()]


PROJECT = _field("Project ID", required=True)
CHOICES = (Option("All", "all"), Option("High", "high"))


@pytest.mark.parametrize("name", ["projectId", "project_id", "Project ID"])
def test_a_value_is_taken_by_each_name_and_seen_under_all(name: str) -> None:
    assert _inputs([PROJECT], {name: "p1"}) == {"projectId": "p1", "project_id": "p1", "Project ID": "p1"}


def test_a_required_value_that_is_missing_is_named_by_its_slug() -> None:
    assert _issues([PROJECT], {}) == [("projectId",)]
    assert _issues([PROJECT], {"projectId": None}) == [("projectId",)]


def test_an_unknown_name_is_refused() -> None:
    assert _issues([PROJECT], {"projectId": "p1", "projectID": "p2"}) == [("projectID",)]


def test_what_is_left_out_is_not_there() -> None:
    fields = [_field("Filter"), _field("Count", "NUMBER"), _field("Flag", "BOOLEAN")]

    assert _inputs(fields, {"flag": False, "count": 0, "filter": None}) == {
        "flag": False,
        "Flag": False,
        "count": 0,
        "Count": 0,
    }


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (_field("V"), ["", "text"], [1, ["text"], {}]),
        (_field("V", "MULTI_LINE_TEXT"), ["a\nb"], [1]),
        (_field("V", "PASSWORD"), ["secret"], [1]),
        (_field("V", "NUMBER"), [1, -1.5, 10**30], ["many", float("nan"), float("inf"), []]),
        (_field("V", "BOOLEAN"), [True, False], ["maybe", 2, []]),
        (_field("V", "SELECT", options=CHOICES), ["all", "high"], ["All", "", ["all"], 1]),
        (_field("V", "SELECT", options=CHOICES[:1]), ["all"], ["high"]),
        (
            _field("V", "SELECT", options=CHOICES, allow_multi_select=True),
            [[], ["all"], ["high", "all"]],
            ["all", ["other"], [["all"]]],
        ),
        (_field("V", "VECTOR"), [[], [1.0, -2.5]], [1.0, ["x"], [float("nan")]]),
    ],
)
def test_a_value_must_be_of_its_fields_type(field: InputField, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert _inputs([field], {"v": value}) == {"v": value, "V": value}
    for value in bad:
        assert _issues([field], {"v": value})


def test_numbers_keep_their_kind() -> None:
    [whole, broken] = [_inputs([_field("N", "NUMBER")], {"n": n})["n"] for n in (1, 1.5)]

    assert (type(whole), type(broken)) == (int, float)


def test_every_user_trigger_has_a_polling_frequency() -> None:
    assert config_model([PROJECT]).model_validate({"projectId": "p", "polling_frequency": "60"}).polling_frequency == 60


def test_a_field_that_is_called_like_it_does_not_get_in_its_way() -> None:
    fields = [_field("Polling Frequency")]
    config = config_model(fields).model_validate({"polling_frequency": 60, "pollingFrequency": "often"})

    assert config.polling_frequency == 60
    assert inputs_of(fields, config) == {"pollingFrequency": "often", "Polling Frequency": "often"}


def test_a_slug_is_never_another_fields_name_too() -> None:
    fields = [_field("aB"), _field("a b")]  # their slugs are ab and aB

    assert _inputs(fields, {"aB": "second"}) == {"aB": "second", "a b": "second", "a_b": "second"}
    assert _inputs(fields, {"ab": "first"}) == {"ab": "first"}


@pytest.mark.parametrize("label", ["JSON", "Copy", "Schema", "model_config", "Model Dump", "__proto__", "2nd", "class"])
def test_no_label_is_too_odd(label: str) -> None:
    field = _field(label)

    assert _inputs([field], {field.slug: "x"})[label] == "x"


@given(st.lists(st.text(min_size=1), unique_by=camel, max_size=5))
def test_any_labels_with_distinct_slugs_go_together(labels: list[str]) -> None:
    fields = [_field(label, required=True) for label in labels]
    values = {field.slug: f"value of {field.slug}" for field in fields}

    seen = _inputs(fields, values)

    assert {slug: seen[slug] for slug in values} == values


def test_the_schema_for_forms_names_slugs_titles_and_choices() -> None:
    fields = [
        _field("Project ID", required=True, description="Which"),
        _field("Priority", "SELECT", options=CHOICES),
        _field("Token", "PASSWORD"),
    ]

    schema = config_model(fields).model_json_schema()

    assert schema["required"] == ["projectId"]
    assert set(schema["properties"]) == {"polling_frequency", "projectId", "priority", "token"}
    assert schema["properties"]["projectId"] == {"title": "Project ID", "description": "Which", "type": "string"}
    assert schema["properties"]["priority"]["anyOf"][0]["enum"] == ["all", "high"]
    assert schema["properties"]["token"]["format"] == "password"
