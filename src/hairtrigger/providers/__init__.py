"""The providers that can be used without writing code. A new provider is a file in this folder and a line below."""

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
