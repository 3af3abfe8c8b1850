"""A first start may be cut off anywhere: the next one shows a login that works. Real kills are in `tests/e2e`."""

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from hairtrigger.credentials import Credentials
from hairtrigger.first_start import Welcome, first_login
from hairtrigger.main import Application, running
from hairtrigger.settings import Settings
from tests.api.conftest import _named
from tests.conftest import emptied
from tests.services.world import Killed, dying

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def service(database_url: str, folder: Path) -> AsyncIterator[Application]:
    connection = await asyncpg.connect(database_url.replace("postgresql+asyncpg", "postgresql"))
    await connection.execute("CREATE DATABASE first_start")
    await connection.close()
    database = SecretStr(_named(database_url, "first_start"))
    settings = Settings(database_url=database, data_dir=folder / "first", sandbox_workers=1, shutdown_seconds=0)
    async with running(settings) as app:
        yield app


@pytest.fixture
async def app(service: Application) -> Application:
    await emptied(service.store)
    return service


async def test_a_start_that_is_cut_off_anywhere_leaves_its_login_to_the_next(app: Application) -> None:
    for commit in count(1):
        await emptied(app.store)
        try:
            first = await started(mortal(app, commit))
        except Killed:
            await has_one_login(app, await started(app))
        else:
            await has_one_login(app, first)
            break
        assert await started(app) is None
    assert commit > 8


async def test_a_start_that_can_not_keep_its_credentials_leaves_its_login_to_the_next(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Credentials, "save", fail)
        with pytest.raises(Killed):
            await started(app)
    await has_one_login(app, await started(app))


async def test_a_start_that_ends_before_it_has_shown_its_login_leaves_it_to_the_next(app: Application) -> None:
    with pytest.raises(Killed):
        await started(app, Killed())
    await has_one_login(app, await started(app))


async def test_of_two_starts_at_once_one_shows_the_login(app: Application) -> None:
    async with first_login(app) as first, first_login(app) as other:
        assert other is None
    await has_one_login(app, first)


async def test_an_installation_from_before_shows_nothing(app: Application) -> None:
    await app.accounts.create_organization("Org", "user@example.com", "correct horse battery", operator=True)
    assert await started(app) is None


def test_credentials_are_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise Killed

    kept = Credentials("http://before", "key")
    kept.save(tmp_path)
    for step in ("json.dump", "os.fsync", "pathlib.Path.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(step, fail)
            with pytest.raises(Killed):
                replace(kept, url="http://after").save(tmp_path)
        assert Credentials.load(tmp_path) == kept
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


async def started(app: Application, end: BaseException | None = None) -> Welcome | None:
    async with first_login(app) as first:
        if end:
            raise end
        return first


def mortal(app: Application, commit: int) -> Application:
    """Return the application with a store whose process dies at this commit."""
    store = dying(app.store, at=commit)
    return replace(
        app,
        store=store,
        accounts=replace(app.accounts, store=store),
        projects=replace(app.projects, store=store),
        triggers=replace(app.triggers, store=store),
    )


async def has_one_login(app: Application, shown: Welcome | None) -> None:
    assert shown
    caller = await app.accounts.by_token(await app.accounts.log_in(shown.email, shown.password))
    assert (await app.accounts.by_key(shown.api_key)).org_id == caller.org_id
    kept = Credentials.load(app.settings.data_dir)
    assert kept
    assert (await app.accounts.by_key(kept.api_key)).org_id == caller.org_id
    assert len(await app.accounts.keys(caller.org_id)) == 2
    [project] = await app.projects.list(caller)
    [trigger] = await app.triggers.of_project(caller, project.id)
    assert trigger.enabled
    assert shown.webhook_url.endswith(str(trigger.id))
    async with app.store.transaction() as tx:
        assert (await tx.connection.execute(text("SELECT count(*) FROM org"))).scalar_one() == 1
