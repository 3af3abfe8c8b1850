"""The id of a user of an organisation's product, as the organisation names the user."""

from typing import Annotated

from pydantic import Field, StringConstraints

ExternalUserId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"),
    Field(description="The id of a user of your product, to whom it belongs."),
]
