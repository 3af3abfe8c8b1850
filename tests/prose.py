"""The rule for docstrings and comments: a verb, a noun or a full sentence first, and subjects that have a name.

`python -m tests.prose` lists what breaks the rule.
"""

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("src", "tests", "bench", "guest")
SCRIPTS = ("dev",)
GENERATED = ("docs/outcomes.md", "docs/settings.md")  # made of texts for users
MESSAGES = ("src/hairtrigger/domain/errors.py",)  # docstrings of errors are the messages that users read
PUBLISHING = ("src/hairtrigger/api/", "src/hairtrigger/domain/")  # FastAPI publishes docstrings of these folders


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A sentence that begins with one of these is a fragment, or says its subject last.
FRAGMENT = _words(
    "also and but how however nor none of or so than then those us what whatever whether which whichever who whoever "
    "whom whose why"
)
# These may begin a sentence if a main clause follows a comma: "In a test, the clock is moved by hand."
SUBORDINATE = _words(
    "about after as at before behind below beside besides between beyond by during except for from if in inside into "
    "like near off on once out outside past since till to towards under unless until up upon when where while with "
    "within without"
)
# These may name a case before a colon: "With no trigger given: outcomes of unknown triggers."
CASE = re.compile(r"(?:with|without)(?: [\w`']+){1,3}:", re.IGNORECASE)
# These, and every word in "-ed", may begin a sentence that has a verb: "Signed requests are checked first."
PARTICIPLE = _words(
    "active again alone being cut due done empty found full given held kept known late later latest left longer made "
    "newest not oldest read said seen sent shown shut taken told worn written"
)
NO_PARTICIPLE = _words("embed exceed feed need proceed seed shed speed")
AUXILIARY = re.compile(
    r"\b(?:am|are|can|cannot|can't|could|did|do|does|doesn't|don't|had|has|have|is|isn't|may|might|must|needs?|shall|"
    r"should|was|were|will|would)\b",
    re.IGNORECASE,
)
CONNECTIVE = FRAGMENT | SUBORDINATE | frozenset({"because", "that", "though", "yet"})
NAMELESS = re.compile(r"\b(?:anybody|everybody|nobody|somebody|whoever|whomever|whosoever)(?:'s)?\b", re.IGNORECASE)


class Fault(NamedTuple):
    file: str
    line: int
    reason: str
    text: str


def fault_of(docstring: str) -> str | None:
    """Return why a docstring breaks the rule, or None."""
    return _opening_fault(docstring) or nameless(docstring)


def nameless(text: str) -> str | None:
    """Return which word of a text stands for a subject without a name, or None."""
    found = NAMELESS.search(_without_code(text))
    return f"'{found[0]}' names no subject: say which process, user, sender or row" if found else None


def _opening_fault(docstring: str) -> str | None:
    sentence = _first_sentence(docstring)
    word = _first_word(sentence)
    if word in FRAGMENT:
        return f"it begins with '{word}', as a fragment does: begin with a verb or the subject"
    if word in SUBORDINATE and not CASE.match(sentence) and not _has_main_clause(sentence):
        return f"it begins with '{word}', and no main clause follows"
    is_participle = word in PARTICIPLE or (word.endswith("ed") and word not in NO_PARTICIPLE)
    if is_participle and not AUXILIARY.search(re.split("[,;:]", sentence)[0]):
        return f"it begins with '{word}', and has no subject or verb"
    return None


def _has_main_clause(sentence: str) -> bool:
    """Return whether a clause after a comma has a subject of its own and a verb."""
    clauses = [re.split("[;:]", clause)[0] for clause in sentence.split(",")[1:]]
    return any(_first_word(clause) not in CONNECTIVE and AUXILIARY.search(clause) for clause in clauses)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s", " ".join(_without_code(text).split()), maxsplit=1)[0]


def _first_word(sentence: str) -> str:
    found = re.search(r"[A-Za-z]+", sentence)
    return found[0].lower() if found else ""


def _without_code(text: str) -> str:
    """Return the text with its `code` and "quotations" replaced by a noun."""
    return re.sub(r"``?[^`]+``?|\"[^\"]+\"|https?://\S+", "Code", text)


def faults() -> list[Fault]:
    """Return every place of the project that breaks the rule, by file and line."""
    return [fault for file in _files() for fault in faults_in(file)]


def faults_in(file: Path) -> Iterator[Fault]:
    name = file.relative_to(ROOT).as_posix()
    source = file.read_text("utf-8")
    if file.suffix == ".md":
        yield from _faults_in_document(name, source)
        return
    published = _published() if name.startswith(PUBLISHING) else frozenset()
    for line, docstring in () if name in MESSAGES else docstrings(source):
        if docstring not in published and (reason := fault_of(docstring)):
            yield Fault(name, line, reason, _first_sentence(docstring))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (reason := nameless(token.string)):
            yield Fault(name, token.start[0], reason, token.string)


def _faults_in_document(name: str, source: str) -> Iterator[Fault]:
    in_code = False
    for number, line in enumerate(source.splitlines(), 1):
        in_code ^= line.startswith("```")
        if not in_code and not line.startswith("    ") and (reason := nameless(line)):
            yield Fault(name, number, reason, line)


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Return the docstrings of a module, its classes and its functions, each with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text


@cache
def _published() -> frozenset[str]:
    """Return the descriptions in the OpenAPI documents. They are texts for users, and are not judged here."""
    documents = [json.loads(file.read_text("utf-8")) for file in (ROOT / "docs/api").glob("*.json")]
    return frozenset(text for document in documents for text in _descriptions(document))


def _descriptions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for name, text in value.items() if name == "description" and isinstance(text, str))
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _descriptions(one)


def _files() -> list[Path]:
    python = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    documents = [*ROOT.glob("*.md"), *(f for folder in ("docs", *FOLDERS) for f in (ROOT / folder).rglob("*.md"))]
    generated = {ROOT / name for name in GENERATED}
    return sorted({*python, *documents, *(ROOT / name for name in SCRIPTS)} - generated)


def main() -> int:
    found = faults()
    for fault in found:
        print(f"{fault.file}:{fault.line}: {fault.reason}\n    {fault.text}")
    print(f"{len(found)} faults in {len({fault.file for fault in found})} files")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
