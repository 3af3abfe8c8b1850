"""All attacks. To add an attack, add an entry to one of these modules."""

from collections.abc import Sequence

from tests.attacks.attack import Attack
from tests.attacks.corpus import answers, calm, connections, feeds, guests, logins, quotas, requests, secrets, targets

_MODULES = (calm, feeds, guests, answers, secrets, targets, logins, connections, requests, quotas)
ATTACKS: Sequence[Attack] = tuple(attack for module in _MODULES for attack in module.ATTACKS)
