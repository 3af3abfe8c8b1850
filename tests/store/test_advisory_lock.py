import re
from pathlib import Path

from hairtrigger.store import advisory_lock

SOURCES = list(Path(advisory_lock.__file__).parents[1].rglob("*.py"))


def test_every_advisory_lock_has_a_number_from_the_one_list() -> None:
    texts = {file.name: file.read_text() for file in SOURCES}
    locking = {name for name, text in texts.items() if re.search(r"pg_\w*advisory", text)}
    numbered = {name for name, text in texts.items() if re.search(r"advisory\w*\(\d|\b7_?420_?\d\d\d\b", text)}

    assert locking >= {"claims.py", "partitions.py", "database.py", "operational_events.py"}
    assert numbered == {"advisory_lock.py"}
