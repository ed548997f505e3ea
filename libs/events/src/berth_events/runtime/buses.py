"""Which bus a service uses: decided once, from its settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from berth_events.runtime.bus import Bus
from berth_events.runtime.settings import ServiceSettings

__all__ = ["NoBus", "open_bus"]


class NoBus(ValueError):
    """No bus is configured. Set KAFKA_BOOTSTRAP (host:port,...), or BUS_URL (a Postgres DSN) for the embedded bus."""


@asynccontextmanager
async def open_bus(settings: ServiceSettings) -> AsyncIterator[Bus]:
    """Kafka when KAFKA_BOOTSTRAP is given, else the embedded bus at BUS_URL.

    Raises:
        NoBus: neither is given.
    """
    bus = _bus(settings)
    try:
        yield bus
    finally:
        await bus.close()


def _bus(settings: ServiceSettings) -> Bus:
    if settings.kafka_bootstrap:
        from berth_events.runtime.kafka_bus import KafkaBus  # noqa: PLC0415 - not loaded where it is not used

        return KafkaBus(settings.kafka_bootstrap)
    if settings.bus_url:
        from berth_events.runtime.postgres_bus import PostgresBus  # noqa: PLC0415 - as above

        return PostgresBus(settings.bus_url.get_secret_value())
    raise NoBus
