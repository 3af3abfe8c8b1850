"""The rules that every provider keeps, and the names with which a fake of a provider is written.

A fake says `from hairtrigger import conformance`. `hairtrigger providers check` and this project's own tests hold each
provider to the rules. docs/writing-providers.md walks through a fake.
"""

from hairtrigger.conformance.fakes import Fake, Hook, Recorded
from hairtrigger.conformance.suite import Case, Subject, cases, subject

__all__ = ["Case", "Fake", "Hook", "Recorded", "Subject", "cases", "subject"]
