"""The privacy of a trigger, as the APIs take and show it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from hairtrigger.domain import privacy
from hairtrigger.kit.places import is_place


def _place(text: str) -> str:
    if not is_place(text):
        raise ValueError("A place is header:<name>, query:<name> or a JSON pointer, such as /customer/email.")
    return text


Place = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_place)]


class Privacy(BaseModel):
    """What is kept of the content of a trigger's events, and for how long."""

    model_config = ConfigDict(extra="forbid")

    keep_body: bool = Field(
        True,
        description="false: the body, what is kept of the request and what targets answered is dropped when all "
        "deliveries of the event have ended. It can't be replayed then.",
    )
    redact: Annotated[list[Place], Field(max_length=20)] = Field(
        [],
        description="Places whose values are replaced by the text [redacted] before anything is stored or delivered: "
        "JSON pointers into the body, where * stands for every element, header:<name> and query:<name>. The key, type "
        "and subject of the event are found before. A body that is not JSON is redacted as a whole.",
        examples=[["/customer/email", "/items/*/note", "header:X-User"]],
    )
    retention_days: Annotated[int, Field(ge=1)] | None = Field(
        None, description="After so many days, events are deleted with their deliveries. Null: as the service does."
    )

    def as_domain(self) -> privacy.Privacy:
        return privacy.Privacy(self.keep_body, tuple(self.redact), self.retention_days)

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Privacy":
        kept = privacy.Privacy.of(stored)
        return cls(keep_body=kept.keep_body, redact=list(kept.redact), retention_days=kept.retention_days)
