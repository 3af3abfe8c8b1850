"""Make the first schema: our tables, and PGMQ from the SQL in its package."""

from importlib.resources import files

from alembic import op
from sqlalchemy.util import await_only

revision = "0001"
down_revision = None


def upgrade() -> None:
    _run(files("pgmq.sql").joinpath("pgmq.sql").read_text())
    _run(files(__package__ or "hairtrigger.store.migrations.versions").joinpath("0001_first.sql").read_text())


def _run(script: str) -> None:
    """Run a script of many statements, which only the driver's own `execute` accepts."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    await_only(driver.execute(script))
