"""The built-in providers, which users need not define. A new one is a file in this folder and a line below."""

from hairtrigger import kit
from hairtrigger.providers import github, hairtrigger, rss, schedule, slack, stripe, typeform, webhook

CATALOGUE: tuple[kit.Provider, ...] = (
    webhook.provider,
    schedule.provider,
    rss.provider,
    github.provider,
    slack.provider,
    stripe.provider,
    typeform.provider,
    hairtrigger.provider,
)
