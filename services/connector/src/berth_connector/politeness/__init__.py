"""How much at once, wherever it goes: the limits, and at which address a server's runs are counted."""

from berth_connector.politeness.limits import LimitRefused, shipped_rules
from berth_connector.politeness.places import Elsewhere, Places
from berth_connector.politeness.providers import provider_of

__all__ = ["Elsewhere", "LimitRefused", "Places", "provider_of", "shipped_rules"]
