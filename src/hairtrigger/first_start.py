"""What the first start leaves behind, so that something can be tried at once: a user, an API key, a webhook."""

import secrets
from dataclasses import dataclass

from hairtrigger.credentials import Credentials
from hairtrigger.domain.errors import Conflict
from hairtrigger.domain.target import LogTarget
from hairtrigger.main import Application
from hairtrigger.services.accounts import INTEGRATION_API, SCOPES, TRIGGER_API, Caller

EMAIL = "admin@localhost.localdomain"


@dataclass(frozen=True)
class Welcome:
    """Shown once."""

    email: str
    password: str
    api_key: str
    webhook_url: str
    webhook_secret: str

    def text(self) -> str:
        return f"""
  Log in      {self.email}  /  {self.password}
  API key     {self.api_key}
              ({INTEGRATION_API} and {TRIGGER_API}; neither is shown again)

  Make something happen (in another terminal):

    curl -d '{{"hello": "world"}}' -H 'X-Webhook-Secret: {self.webhook_secret}' \\
         {self.webhook_url}

  and see it arrive here, or with:  hairtrigger events tail
"""


async def welcome(app: Application) -> Welcome | None:
    """None on every start but the first."""
    if await app.accounts.any_user():
        return None
    password = secrets.token_urlsafe(12)
    try:
        organization, user = await app.accounts.create_organization("My organisation", EMAIL, password, operator=True)
    except Conflict:  # another process was first
        return None
    caller = Caller(organization.id, user.id, frozenset(SCOPES), operator=True)
    _, shown = await app.accounts.create_key(caller, "First key", [INTEGRATION_API, TRIGGER_API])
    _, kept = await app.accounts.create_key(caller, "Command line", [INTEGRATION_API, TRIGGER_API])
    Credentials(app.settings.url, kept).save(app.settings.data_dir)
    webhook_url, secret = await _webhook(app, caller)
    return Welcome(EMAIL, password, shown, webhook_url, secret)


async def _webhook(app: Application, caller: Caller) -> tuple[str, str]:
    project, _ = await app.projects.create(caller, "First steps", LogTarget(), 20)
    trigger = await app.triggers.create(caller, project.id, "webhook", "on_request", {}, None)
    secret = await app.triggers.rotate_secret(caller, trigger.id, secrets.token_urlsafe(24))
    await app.triggers.enable(caller, trigger.id)
    return app.triggers.webhook_url(trigger.id), secret
