"""All attacks. An entry in one of these modules is an attack more."""

from collections.abc import Sequence

from tests.attacks.attack import Attack
from tests.attacks.corpus import calm, feeds

ATTACKS: Sequence[Attack] = (*calm.ATTACKS, *feeds.ATTACKS)
