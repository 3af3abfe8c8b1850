"""Makes a user, API keys and a webhook at the first start, so that the service can be tried at once."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hairtrigger import hints
from hairtrigger.credentials import Credentials
from hairtrigger.domain.caller import INTEGRATION_API, TRIGGER_API, Caller
from hairtrigger.domain.target import LogTarget
from hairtrigger.main import Application

EMAIL = "admin@localhost.localdomain"
_KEYS = ("First key", "Command line")
_PROJECT = "First steps"


@dataclass(frozen=True)
class Welcome:
    """The login, the API key and the webhook of the first start. They are shown once."""

    email: str
    password: str = field(repr=False)
    api_key: str = field(repr=False)
    webhook_url: str
    webhook_secret: str = field(repr=False)
    demo: bool = False

    def text(self) -> str:
        return f"""
  Log in      {self.email}  /  {self.password}
  API key     {self.api_key}
              ({INTEGRATION_API} and {TRIGGER_API}; neither is shown again)

  If the password is lost:  {hints.command(f"user password {self.email}", demo=self.demo)}

  Make something happen (in another terminal):

    curl -d '{{"hello": "world"}}' -H 'Content-Type: application/json' \\
         -H 'X-Webhook-Secret: {self.webhook_secret}' \\
         {self.webhook_url}

  and see it arrive here, or with:  {hints.command("events tail", demo=self.demo)}
"""


@asynccontextmanager
async def first_login(app: Application) -> AsyncIterator[Welcome | None]:
    """Yield the login of the first start, which is to be shown within the block, or None if this process has none to
    show.

    If the process is cut off within the block, the next start makes the login, the keys and the webhook anew.
    """
    await app.accounts.create_first("My organisation", EMAIL)
    async with app.accounts.showing_first_login() as operator:
        yield await _welcome(app, operator) if operator else None


async def _welcome(app: Application, caller: Caller) -> Welcome:
    password = secrets.token_urlsafe(12)
    await app.accounts.set_password(caller, password)
    for left in await app.accounts.keys(caller.org_id):
        if left.name in _KEYS:  # left by a start that was cut off: their values were not shown
            await app.accounts.remove_key(caller.org_id, left.id)
    shown, kept = [(await app.accounts.create_key(caller, name, [INTEGRATION_API, TRIGGER_API]))[1] for name in _KEYS]
    webhook_url, secret = await _webhook(app, caller)
    Credentials(app.settings.local_url, kept).save(app.settings.data_dir)
    return Welcome(EMAIL, password, shown, webhook_url, secret)


async def _webhook(app: Application, caller: Caller) -> tuple[str, str]:
    left = next((one for one in await app.projects.list(caller) if one.name == _PROJECT), None)
    project = left or (await app.projects.create(caller, _PROJECT, LogTarget(), 20))[0]
    for unfinished in await app.triggers.of_project(caller, project.id):
        await app.triggers.delete(caller, unfinished.id)
    trigger = await app.triggers.create(caller, project.id, "webhook", "on_request", {}, None)
    secret = await app.triggers.rotate_secret(caller, trigger.id, secrets.token_urlsafe(24))
    await app.triggers.enable(caller, trigger.id)
    return app.triggers.webhook_url(trigger.id), secret
