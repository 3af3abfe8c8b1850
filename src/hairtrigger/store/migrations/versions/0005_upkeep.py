"""Add a table for tasks that come round again, and make autovacuum run sooner on tables that change often."""

from importlib.resources import files

from alembic import op
from sqlalchemy.util import await_only

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    script = files(__package__ or "hairtrigger.store.migrations.versions").joinpath("0005_upkeep.sql").read_text()
    await_only(driver.execute(script))
