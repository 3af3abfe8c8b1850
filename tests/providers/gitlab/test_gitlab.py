import pytest

from hairtrigger.conformance.asking import URL
from hairtrigger.domain.errors import InvalidConfig
from tests.providers.asking import asking, trigger
from tests.providers.gitlab.fake import Fake

pytestmark = pytest.mark.anyio

PUSH = trigger("gitlab", "on_push")
SIGNED = {"project": "acme/web/shop", "signed": True}


async def test_a_server_that_signs_is_given_a_signing_token() -> None:
    fake = Fake()

    made = await PUSH.subscription.create(
        asking("gitlab", "on_push", fake.app, SIGNED, fake.secrets), URL, "whsec_QQ=="
    )

    (hook,) = fake.kept
    assert (hook.asked["signing_token"], made.secret) == ("whsec_QQ==", "whsec_QQ==")
    assert "token" not in hook.asked


async def test_a_server_that_does_not_sign_is_told_and_keeps_no_hook() -> None:
    fake = Fake()
    fake.signs = False

    with pytest.raises(InvalidConfig, match="This server does not sign what it sends"):
        await PUSH.subscription.create(asking("gitlab", "on_push", fake.app, SIGNED, fake.secrets), URL, "whsec_QQ==")

    assert fake.kept == []
