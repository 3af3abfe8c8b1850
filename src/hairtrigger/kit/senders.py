"""A table of known senders. It says how each proves itself, where the ids and types of its events are, and which
handshakes it asks.

An event id must stand in what the sender signs, so an id that stands in an unsigned header is not used.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from datetime import timedelta
from typing import Literal

from hairtrigger.kit import handshake
from hairtrigger.kit.handshake import Handshake
from hairtrigger.kit.sns import CONFIRMATION, Sns
from hairtrigger.kit.verify import (
    GITHUB,
    SHOPIFY,
    SLACK,
    STANDARD_WEBHOOKS,
    STRIPE,
    SVIX,
    TYPEFORM,
    Basic,
    Hmac,
    PublicKey,
    Scheme,
    Timestamp,
    Token,
)
from hairtrigger.kit.web_token import WebToken

_MINUTE = timedelta(minutes=1)
_ADYEN = "/notificationItems/0/NotificationRequestItem"


@dataclass(frozen=True)
class KnownSender:
    """A sender, with the scheme by which it proves itself.

    `event_id` is the place of the event's id in signed bytes, and `event_type` the place of the event's type. `repeats`
    says which requests without an id count as repeats. `content_type` replaces the content type that the sender states.
    `asks_for` tells the user what the secret is, where that is not plain.
    """

    verify: Scheme
    _: KW_ONLY
    event_id: str | None = None
    event_type: str | None = None
    handshakes: tuple[Handshake, ...] = ()
    repeats: Literal["by_content", "by_time", "never"] = "by_content"
    content_type: str | None = None
    asks_for: str = ""


def _plain(header: str, encoding: Literal["hex", "base64"] = "hex", prefix: str = "") -> Hmac:
    return Hmac(header, encoding=encoding, prefix=prefix)


def _url_signed(header: str, message: str) -> Hmac:
    return Hmac(header, algorithm="sha1", encoding="base64", message=message)


_DISCORD = PublicKey(
    "X-Signature-Ed25519",
    algorithm="ed25519",
    key="hex",
    message="{timestamp}{body}",
    timestamp=Timestamp("X-Signature-Timestamp"),
)
SENDERS: Mapping[str, KnownSender] = {
    "adyen": KnownSender(
        # https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures
        Hmac(
            f"{_ADYEN}/additionalData/hmacSignature",
            encoding="base64",
            key="hex",
            partial=True,
            single="/notificationItems",
            message=":".join(
                f"{{{_ADYEN}/{name}}}"
                for name in (
                    "pspReference",
                    "originalReference",
                    "merchantAccountCode",
                    "merchantReference",
                    "amount/value",
                    "amount/currency",
                    "eventCode",
                    "success",
                )
            ),
        ),
        event_type=f"{_ADYEN}/eventCode",
        asks_for="The HMAC key of the webhook.",
    ),
    # https://airtable.com/developers/web/api/webhooks-overview
    "airtable": KnownSender(
        Hmac("X-Airtable-Content-MAC", prefix="hmac-sha256=", key="base64"), asks_for="The webhook's macSecretBase64."
    ),
    # https://developers.asana.com/docs/webhooks-guide
    "asana": KnownSender(
        _plain("X-Hook-Signature"),
        handshakes=(handshake.ASANA_HOOK_SECRET,),
        asks_for="The X-Hook-Secret that Asana tells when the webhook is made.",
    ),
    "aws_sns": KnownSender(
        Sns(),
        event_id="/MessageId",
        event_type="/Type",
        handshakes=(CONFIRMATION,),
        content_type="application/json",
        asks_for="The ARN of the topic, whose SignatureVersion is 2.",
    ),
    "aws_sns_sha1": KnownSender(
        Sns("sha1"),
        event_id="/MessageId",
        event_type="/Type",
        handshakes=(CONFIRMATION,),
        content_type="application/json",
        asks_for="The ARN of the topic, whose SignatureVersion is 1.",
    ),
    # https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/#Secure-webhooks
    "bitbucket": KnownSender(_plain("X-Hub-Signature", prefix="sha256="), event_type="header:X-Event-Key"),
    # https://developer.box.com/guides/webhooks/v2/signatures-v2/
    "box": KnownSender(
        Hmac(
            "Box-Signature-Primary",
            other_header="Box-Signature-Secondary",
            encoding="base64",
            message="{body}{timestamp}",
            timestamp=Timestamp("Box-Delivery-Timestamp", unit="iso", tolerance=10 * _MINUTE),
        ),
        event_id="/id",
        event_type="/trigger",
        asks_for="The primary or the secondary signature key.",
    ),
    # https://cal.com/docs/developing/guides/automation/webhooks
    "calcom": KnownSender(_plain("X-Cal-Signature-256"), event_type="/triggerEvent"),
    # https://developer.calendly.com/api-docs/ZG9jOjM2MzE2MDM4-webhook-signatures
    "calendly": KnownSender(
        Hmac(
            "Calendly-Webhook-Signature",
            prefix="v1=",
            separator=",",
            message="{timestamp}.{body}",
            timestamp=Timestamp(prefix="t=", tolerance=3 * _MINUTE),
        ),
        event_type="/event",
    ),
    # https://apidocs.chargebee.com/docs/api/webhooks
    "chargebee": KnownSender(Basic(), event_id="/id", event_type="/event_type", asks_for="user:password"),
    # https://clerk.com/docs/webhooks/overview
    "clerk": KnownSender(SVIX, event_type="/type"),
    # https://developer.clickup.com/docs/webhooksignature
    "clickup": KnownSender(_plain("X-Signature"), event_type="/event"),
    # https://docs.cdp.coinbase.com/commerce/docs/webhooks-security
    "coinbase_commerce": KnownSender(_plain("X-CC-Webhook-Signature"), event_id="/event/id", event_type="/event/type"),
    # https://docs.discord.com/developers/interactions/overview
    "discord": KnownSender(
        _DISCORD,
        event_id="/id",
        handshakes=(handshake.DISCORD_PING,),
        asks_for="The application's public key.",
    ),
    # https://docs.discord.com/developers/events/webhook-events
    "discord_events": KnownSender(
        _DISCORD,
        event_type="/event/type",
        handshakes=(handshake.DISCORD_EVENT_PING,),
        asks_for="The application's public key.",
    ),
    # https://developers.docusign.com/platform/webhooks/connect/hmac/
    "docusign": KnownSender(
        Hmac("X-DocuSign-Signature-1", other_header="X-DocuSign-Signature-2", encoding="base64"), event_type="/event"
    ),
    # The body says only that something changed, so equal bodies are different events.
    # https://www.dropbox.com/developers/reference/webhooks
    "dropbox": KnownSender(
        _plain("X-Dropbox-Signature"),
        handshakes=(handshake.DROPBOX_CHALLENGE,),
        repeats="never",
        asks_for="The app's secret.",
    ),
    # https://elevenlabs.io/docs/overview/administration/webhooks
    "elevenlabs": KnownSender(
        Hmac(
            "ElevenLabs-Signature",
            prefix="v0=",
            separator=",",
            message="{timestamp}.{body}",
            timestamp=Timestamp(prefix="t=", tolerance=30 * _MINUTE),
        ),
        event_type="/type",
    ),
    # https://developers.figma.com/docs/rest-api/webhooks-security/
    "figma": KnownSender(Token(pointer="/passcode"), event_type="/event_type", asks_for="The webhook's passcode."),
    "github": KnownSender(GITHUB, event_type="header:X-GitHub-Event", handshakes=(handshake.GITHUB_PING,)),
    # https://docs.gitlab.com/user/project/integrations/webhooks/
    "gitlab": KnownSender(Token("X-Gitlab-Token"), event_type="header:X-Gitlab-Event"),
    "gitlab_signed": KnownSender(STANDARD_WEBHOOKS, event_type="header:X-Gitlab-Event"),
    # https://developer.gocardless.com/api-reference/#webhooks-overview
    "gocardless": KnownSender(_plain("Webhook-Signature")),
    # https://developers.google.com/workspace/calendar/api/guides/push
    "google": KnownSender(
        Token("X-Goog-Channel-Token"),
        event_type="header:X-Goog-Resource-State",
        handshakes=(handshake.GOOGLE_SYNC,),
        asks_for="The channel's token.",
    ),
    # The header of the time has the name that is configured in Grafana.
    # https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
    "grafana": KnownSender(
        Hmac(
            "X-Grafana-Alerting-Signature",
            message="{timestamp}:{body}",
            timestamp=Timestamp("X-Grafana-Alerting-Timestamp"),
        ),
        event_type="/status",
    ),
    # https://devcenter.heroku.com/articles/app-webhooks#securing-webhook-requests
    "heroku": KnownSender(
        _plain("Heroku-Webhook-Hmac-SHA256", "base64"), event_id="/webhook_metadata/event/id", event_type="/resource"
    ),
    # https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
    "hubspot": KnownSender(
        Hmac(
            "X-HubSpot-Signature-v3",
            encoding="base64",
            message="{method}{url}{body}{timestamp}",
            timestamp=Timestamp("X-HubSpot-Request-Timestamp", unit="ms"),
        ),
        event_type="/0/subscriptionType",
        asks_for="The app's client secret.",
    ),
    # https://developers.intercom.com/docs/webhooks/setting-up-webhooks
    "intercom": KnownSender(
        Hmac("X-Hub-Signature", algorithm="sha1", prefix="sha1="),
        event_id="/id",
        event_type="/topic",
        handshakes=(handshake.HEAD_CHECK,),
        asks_for="The app's client secret.",
    ),
    # https://developer.atlassian.com/cloud/jira/platform/webhooks/#secure-admin-webhooks
    "jira": KnownSender(_plain("X-Hub-Signature", prefix="sha256="), event_type="/webhookEvent"),
    # https://developer.atlassian.com/cloud/jira/platform/understanding-jwt-for-connect-apps/
    "jira_connect": KnownSender(
        WebToken("Authorization", prefixes=("JWT ",), query_hash=True, expires=True),
        event_type="/webhookEvent",
        asks_for="The sharedSecret of the installation.",
    ),
    # https://developer.atlassian.com/cloud/jira/platform/webhooks/#verifying-a-webhook-by-jwt-token
    "jira_oauth": KnownSender(
        WebToken("Authorization", prefixes=("Bearer ", "JWT "), expires=True),
        event_type="/webhookEvent",
        asks_for="The app's client secret.",
    ),
    # https://docs.lemonsqueezy.com/help/webhooks/signing-requests
    "lemon_squeezy": KnownSender(_plain("X-Signature"), event_type="/meta/event_name"),
    # https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/
    "line": KnownSender(_plain("X-Line-Signature", "base64"), asks_for="The channel's secret."),
    # https://linear.app/developers/webhooks#securing-webhooks
    "linear": KnownSender(
        Hmac("Linear-Signature", timestamp=Timestamp("/webhookTimestamp", unit="ms", tolerance=_MINUTE)),
        event_type="/type",
    ),
    # https://developers.mailersend.com/api/v1/webhooks.html#security
    "mailersend": KnownSender(_plain("Signature"), event_type="/type"),
    # Only the time and a token are signed; each token is used once. The rest of the body is not protected.
    # https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
    "mailgun": KnownSender(
        Hmac(
            "/signature/signature",
            message="{/signature/timestamp}{/signature/token}",
            partial=True,
            timestamp=Timestamp("/signature/timestamp", tolerance=60 * _MINUTE),
        ),
        event_type="/event-data/event",
        asks_for="The HTTP webhook signing key.",
    ),
    # https://docs.mailtrap.io/email-api-smtp/advanced/webhooks
    "mailtrap": KnownSender(_plain("Mailtrap-Signature")),
    # https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/#authenticating-webhook-requests
    "mandrill": KnownSender(
        _url_signed("X-Mandrill-Signature", "{url}{form}"),
        handshakes=(handshake.HEAD_CHECK,),
        asks_for="The webhook's key.",
    ),
    # https://developers.facebook.com/docs/graph-api/webhooks/getting-started
    "meta": KnownSender(
        GITHUB, event_type="/object", handshakes=(handshake.META_CHALLENGE,), asks_for="The app's secret."
    ),
    # https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks
    "microsoft_graph": KnownSender(
        Token(pointer="/value/*/clientState"),
        event_type="/value/0/changeType",
        handshakes=(handshake.GRAPH_VALIDATION,),
        asks_for="The subscription's clientState.",
    ),
    # https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-outgoing-webhook
    "microsoft_teams": KnownSender(
        Hmac("Authorization", encoding="base64", prefix="HMAC ", key="base64"),
        event_id="/id",
        event_type="/type",
        asks_for="The security token that Teams shows.",
    ),
    # https://docs.netlify.com/deploy/deploy-notifications/#payload-signature
    "netlify": KnownSender(
        WebToken("X-Webhook-Signature", issuer="netlify", body_claim="sha256"), event_type="header:X-Netlify-Event"
    ),
    # https://developers.notion.com/reference/webhooks#step-3-validating-event-payloads-recommended
    "notion": KnownSender(
        _plain("X-Notion-Signature", prefix="sha256="),
        event_id="/id",
        event_type="/type",
        handshakes=(handshake.NOTION_TOKEN,),
        asks_for="The subscription's verification token.",
    ),
    # https://developer.okta.com/docs/concepts/event-hooks/
    "okta": KnownSender(
        Token("Authorization"),
        event_id="/eventId",
        event_type="/eventType",
        handshakes=(handshake.OKTA_VERIFICATION,),
        asks_for="The whole value of the header Authorization that is configured in Okta.",
    ),
    # https://platform.openai.com/docs/guides/webhooks
    "openai": KnownSender(STANDARD_WEBHOOKS, event_type="/type"),
    # https://developer.paddle.com/webhooks/signature-verification
    "paddle": KnownSender(
        Hmac(
            "Paddle-Signature",
            prefix="h1=",
            separator=";",
            message="{timestamp}:{body}",
            timestamp=Timestamp(prefix="ts=", tolerance=timedelta(seconds=5)),
        ),
        event_id="/event_id",
        event_type="/event_type",
    ),
    # https://developer.pagerduty.com/docs/verifying-signatures
    "pagerduty": KnownSender(
        Hmac("X-PagerDuty-Signature", prefix="v1=", separator=","),
        event_id="/event/id",
        event_type="/event/event_type",
    ),
    # https://paystack.com/docs/payments/webhooks/
    "paystack": KnownSender(
        Hmac("x-paystack-signature", algorithm="sha512"), event_type="/event", asks_for="The account's secret key."
    ),
    # https://postmarkapp.com/developer/webhooks/webhooks-overview
    "postmark": KnownSender(Basic(), event_type="/RecordType", asks_for="user:password"),
    # https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks
    "quickbooks": KnownSender(_plain("intuit-signature", "base64"), asks_for="The verifier token."),
    # https://razorpay.com/docs/webhooks/validate-test/
    "razorpay": KnownSender(_plain("X-Razorpay-Signature"), event_type="/event"),
    # https://replicate.com/docs/topics/webhooks/verify-webhook
    "replicate": KnownSender(STANDARD_WEBHOOKS, event_type="/status"),
    # https://resend.com/docs/webhooks/verify-webhooks-requests
    "resend": KnownSender(SVIX, event_type="/type"),
    # https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
    "sendgrid": KnownSender(
        PublicKey(
            "X-Twilio-Email-Event-Webhook-Signature",
            algorithm="ecdsa_p256",
            encoding="base64",
            message="{timestamp}{body}",
            timestamp=Timestamp("X-Twilio-Email-Event-Webhook-Timestamp", tolerance=10 * _MINUTE),
        ),
        event_type="/0/event",
        asks_for="The verification key.",
    ),
    # https://docs.sentry.io/organization/integrations/integration-platform/webhooks/
    "sentry": KnownSender(
        _plain("Sentry-Hook-Signature"), event_type="header:Sentry-Hook-Resource", asks_for="The client secret."
    ),
    "shopify": KnownSender(SHOPIFY, event_type="header:X-Shopify-Topic", asks_for="The app's client secret."),
    "slack": KnownSender(
        SLACK,
        event_id="/event_id",
        event_type="/event/type",
        handshakes=(handshake.SLACK_CHALLENGE,),
        asks_for="The app's signing secret.",
    ),
    # https://developer.squareup.com/docs/webhooks/step3validate
    "square": KnownSender(
        Hmac("x-square-hmacsha256-signature", encoding="base64", message="{url}{body}"),
        event_id="/event_id",
        event_type="/type",
        asks_for="The signature key.",
    ),
    "standard_webhooks": KnownSender(STANDARD_WEBHOOKS, event_type="/type"),
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#asymmetric
    "standard_webhooks_ed25519": KnownSender(
        PublicKey(
            "webhook-signature",
            algorithm="ed25519",
            encoding="base64",
            prefix="v1a,",
            separator=" ",
            message="{id}.{timestamp}.{body}",
            key_prefix="whpk_",
            id_header="webhook-id",
            timestamp=Timestamp("webhook-timestamp"),
        ),
        event_type="/type",
        asks_for="The sender's public key, which begins with whpk_.",
    ),
    "stripe": KnownSender(STRIPE, event_id="/id", event_type="/type"),
    "svix": KnownSender(SVIX, event_type="/type"),
    # https://core.telegram.org/bots/api#setwebhook
    "telegram": KnownSender(
        Token("X-Telegram-Bot-Api-Secret-Token"), event_id="/update_id", asks_for="The secret_token of setWebhook."
    ),
    # https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/#webhook-signatures
    "trello": KnownSender(
        _url_signed("X-Trello-Webhook", "{body}{url}"),
        event_id="/action/id",
        event_type="/action/type",
        handshakes=(handshake.HEAD_CHECK,),
        asks_for="The app's secret.",
    ),
    # https://www.twilio.com/docs/usage/webhooks/webhooks-security
    "twilio": KnownSender(_url_signed("X-Twilio-Signature", "{url}{form}"), asks_for="The account's auth token."),
    "twilio_json": KnownSender(
        replace(_url_signed("X-Twilio-Signature", "{body}"), message="{url}", body_digest="query:bodySHA256"),
        asks_for="The account's auth token.",
    ),
    # https://dev.twitch.tv/docs/eventsub/handling-webhook-events/#verifying-the-event-message
    "twitch": KnownSender(
        Hmac(
            "Twitch-Eventsub-Message-Signature",
            prefix="sha256=",
            message="{id}{timestamp}{body}",
            id_header="Twitch-Eventsub-Message-Id",
            timestamp=Timestamp("Twitch-Eventsub-Message-Timestamp", unit="iso", tolerance=10 * _MINUTE),
        ),
        event_type="/subscription/type",
        handshakes=(handshake.TWITCH_CHALLENGE,),
    ),
    # https://developers.typeform.com/webhooks/secure-your-webhooks/
    "typeform": KnownSender(TYPEFORM, event_id="/event_id", event_type="/event_type"),
    # https://vercel.com/docs/webhooks/webhooks-api#securing-webhooks
    "vercel": KnownSender(Hmac("x-vercel-signature", algorithm="sha1"), event_id="/id", event_type="/type"),
    # https://developers.webflow.com/data/docs/working-with-webhooks#validating-request-signatures
    "webflow": KnownSender(
        Hmac(
            "x-webflow-signature", message="{timestamp}:{body}", timestamp=Timestamp("x-webflow-timestamp", unit="ms")
        ),
        event_type="/triggerType",
    ),
    # https://woocommerce.com/document/webhooks/
    "woocommerce": KnownSender(
        _plain("X-WC-Webhook-Signature", "base64"),
        event_type="header:X-WC-Webhook-Topic",
        handshakes=(handshake.WOOCOMMERCE_PING,),
    ),
    # https://workos.com/docs/events/data-syncing/webhooks
    "workos": KnownSender(
        Hmac(
            "WorkOS-Signature",
            prefix="v1=",
            separator=",",
            message="{timestamp}.{body}",
            timestamp=Timestamp(prefix="t=", unit="ms", tolerance=3 * _MINUTE),
        ),
        event_id="/id",
        event_type="/event",
    ),
    # https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/
    "xero": KnownSender(_plain("x-xero-signature", "base64"), asks_for="The webhooks key."),
    # https://developer.zendesk.com/documentation/webhooks/verifying/
    "zendesk": KnownSender(
        Hmac(
            "X-Zendesk-Webhook-Signature",
            encoding="base64",
            message="{timestamp}{body}",
            timestamp=Timestamp("X-Zendesk-Webhook-Signature-Timestamp", unit="iso"),
        ),
        event_type="/type",
    ),
    # https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events
    "zoom": KnownSender(
        Hmac(
            "x-zm-signature",
            prefix="v0=",
            message="v0:{timestamp}:{body}",
            timestamp=Timestamp("x-zm-request-timestamp"),
        ),
        event_type="/event",
        handshakes=(handshake.ZOOM_VALIDATION,),
        asks_for="The app's secret token.",
    ),
}
