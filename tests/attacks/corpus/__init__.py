"""All attacks. An entry in one of these modules is an attack more."""

from collections.abc import Sequence

from tests.attacks.attack import Attack
from tests.attacks.corpus import answers, calm, connections, feeds, guests, logins, requests, secrets, targets

_MODULES = (calm, feeds, guests, answers, secrets, targets, logins, connections, requests)
ATTACKS: Sequence[Attack] = tuple(attack for module in _MODULES for attack in module.ATTACKS)
