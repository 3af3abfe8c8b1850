"""Add ordered delivery by key, pauses and replay jobs."""

from importlib.resources import files

from alembic import op
from sqlalchemy.util import await_only

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    script = files(__package__ or "hairtrigger.store.migrations.versions").joinpath("0004_dispatch.sql")
    await_only(driver.execute(script.read_text()))
