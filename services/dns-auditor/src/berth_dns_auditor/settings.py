"""The DNS auditor's settings, from the environment."""

from berth_events.runtime.settings import ServiceSettings
from berth_net.settings import DnsSettings

__all__ = ["AuditorSettings"]


class AuditorSettings(ServiceSettings, DnsSettings):
    """What the service needs."""
