"""Defines the base classes for the configuration of a trigger and for the JSON of a provider, as pydantic models."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hairtrigger.domain.errors import Malformed
from hairtrigger.domain.instants import from_epoch, instant

Key = Annotated[str, Field(min_length=1)]
"""An event's id at its provider. It is not empty, because all events with an empty id would count as one."""


def _seconds(value: Any) -> Any:
    return from_epoch(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Instant = Annotated[AwareDatetime, AfterValidator(instant)]
"""A time in a provider's JSON, in UTC."""
EpochSeconds = Annotated[AwareDatetime, BeforeValidator(_seconds), AfterValidator(instant)]
"""A time in a provider's JSON that is a number of seconds since 1970, in UTC. Without this type, pydantic would take a
large number for milliseconds.
"""


class Config(BaseModel):
    """The base class for a trigger's configuration (`trigger_config`). Unknown keys are refused, so that a mistyped key
    is reported and not ignored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Empty(Config):
    """The configuration of a trigger that asks its user for nothing."""


class Payload(BaseModel):
    """The base class for JSON from a provider. A subclass declares only the fields that are read, and all others are
    ignored.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    @classmethod
    def of(cls, body: bytes) -> Self:
        """Return the body as a payload. Raises `Malformed` if it is not JSON of this shape."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise Malformed(f"The body is not this provider's JSON: {wrong_part(error)}.") from error


def wrong_part(error: ValidationError) -> str:
    """Return words for the first fault that was found in a provider's JSON, such as "data/id is missing or of the wrong
    type".
    """
    where = "/".join(map(str, error.errors()[0]["loc"])) or "the body"
    return f"{where} is missing or of the wrong type"
