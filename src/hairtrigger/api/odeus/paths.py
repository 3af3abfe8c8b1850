"""The ids in paths, with the names that the published reference gives them."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

IntegrationId = Annotated[UUID, Path(alias="integrationId")]
TriggerId = Annotated[UUID, Path(alias="triggerId")]
ActionId = Annotated[UUID, Path(alias="actionId")]
