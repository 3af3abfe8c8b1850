"""Each API spells the path to what is wrong as its own callers know it."""

from hairtrigger.api.errors import detail, message, problem
from hairtrigger.domain.errors import Invalid, InvalidConfig, Issue

CONFIG = InvalidConfig(None, Issue(("cron", 0), "This is no cron expression."))


def test_stack_ai_finds_a_configuration_in_the_body() -> None:
    _, body = detail(422, CONFIG.message, CONFIG)

    assert [one["loc"] for one in body["detail"]] == [["body", "trigger_config_params", "cron", 0]]


def test_our_own_api_finds_a_configuration_by_the_same_name() -> None:
    _, body = problem(422, CONFIG.message, CONFIG)

    assert [one["path"] for one in body["errors"]] == [["trigger_config_params", "cron", 0]]


def test_odeus_spells_a_field_in_camel_case() -> None:
    _, body = message(400, "", Invalid(None, Issue(("polling_code",), "Unexpected end of input.", "syntax")))

    assert [one["path"] for one in body["message"]] == [["pollingCode"]]
