"""Billing's settings, from the environment."""

from pydantic import Field, SecretStr

from berth_events.runtime.settings import ServiceSettings

__all__ = ["BillingSettings"]


class BillingSettings(ServiceSettings):
    """What billing needs besides what every service has."""

    berth_internal_token: SecretStr = Field(min_length=16, description="what callers of the internal API present")
