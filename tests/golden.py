"""Files that are generated from the code and kept beside it, so that a change is seen. `./dev poe docs` writes them."""

import sys
from collections.abc import Callable
from pathlib import Path

from tests.apps import apps_document
from tests.support.documents import (
    integrations_document,
    metrics_document,
    operational_events_document,
    outcomes_document,
    own_document,
    projects_document,
    settings_document,
)
from tests.support.pictures import formats_document, odd_answers_document
from tests.support.providers_pages import pages as providers_pages
from tests.support.snippets import snippets_document
from tests.support.webhooks_page import webhooks_document

ROOT = Path(__file__).parent.parent
FILES: dict[str, Callable[[], str]] = {
    "docs/api/triggers.openapi.json": projects_document,
    "docs/api/integrations.openapi.json": integrations_document,
    "docs/api/hairtrigger.openapi.json": own_document,
    "docs/settings.md": settings_document,
    "docs/outcomes.md": outcomes_document,
    "docs/metrics.md": metrics_document,
    "docs/operational-events.md": operational_events_document,
    "docs/target-formats.md": formats_document,
    "docs/odd-answers.md": odd_answers_document,
    "docs/webhooks.md": webhooks_document,
    "docs/apps.md": apps_document,
    "docs/polling-snippets.md": snippets_document,
    **providers_pages(),
}


def main() -> None:
    for name, make in FILES.items():
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(make())


if __name__ == "__main__":
    assert sys.argv[1:] == ["--write"], "usage: python -m tests.golden --write"
    main()
