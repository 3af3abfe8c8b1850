"""Docstrings, comments and documents read as plain English, as far as a small rule can tell."""

import pytest

from tests import prose

FRAGMENTS = [
    "Of the times before the first that fires: why they do not.",
    "Whether it depends on a delivery's event if it may go.",
    "As it is now, whatever is remembered; that is forgotten.",
    "The clock's part: whoever resumed much, or deleted it, was not made to wait for all of it.",
    "Of a process that serves nobody: how it is.",
    "Those found before that are stalled no more, be it that they are disabled.",
    "For each write those of its events that were new, or none: then a trigger has changed since it was read.",
    "Of what there is now: deliveries made later are none of it, those of the job itself least of all.",
    "Of one worker. It may be over before it is at its end, while the last polls go on.",
    "What became of it.",
    "None for all but an authentic request.",
    "In the order they were added.",
    "With one more in the queue, and when it is to come again.",
    "Without a read from a disk: memory that was first touched.",
    "By their dates where all have one; else in the order of the feed.",
    "Newest first.",
    "Kept for a day.",
    "Leased, or queued behind others of its connection; the pace is brought up to date.",
    "Move work on when nobody's lease is left.",
]
PLAIN = [
    "Explain why due times before the first one fired were skipped.",
    "True if admission must look at the delivery's event.",
    "Load the trigger from the database and drop it from the cache.",
    "Release the remaining suspended deliveries in the background.",
    "With no trigger given: outcomes that belong to no known trigger.",
    "Health endpoints for a worker process.",
    "End stalls whose trigger has recovered or was disabled.",
    "Return the new events of each write, or None if its trigger changed since it was read.",
    "Replay only deliveries that exist now, never those the job itself creates.",
    "Run one worker. It stops taking polls before it exits, while the last ones finish.",
    "In a test, the clock is moved by hand.",
    "When the database is away, the poll is given back.",
    "Signed requests are verified before they are parsed.",
    "Feed the parser until a head is complete.",
    "`nobody` is the user that workers run as.",
    "Return the events. None of them is new.",
]


@pytest.mark.parametrize("docstring", FRAGMENTS)
def test_a_fragment_is_refused(docstring: str) -> None:
    assert prose.fault_of(docstring)


@pytest.mark.parametrize("docstring", PLAIN)
def test_a_verb_a_noun_or_a_full_sentence_is_accepted(docstring: str) -> None:
    assert prose.fault_of(docstring) is None


def test_modules_classes_methods_and_nested_functions_are_looked_at() -> None:
    source = '''"""One."""
class A:
    """Two."""
    async def b(self):
        """Three."""
        def c():
            """Four."""
'''
    assert sorted(prose.docstrings(source)) == [(1, "One."), (3, "Two."), (5, "Three."), (7, "Four.")]


def test_nothing_in_the_project_breaks_the_rule() -> None:
    found = prose.faults()
    assert not found, "\n".join(f"{fault.file}:{fault.line}: {fault.reason}: {fault.text}" for fault in found)
