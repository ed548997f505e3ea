"""What may be chosen: the bus, and servers that run already."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from berth_local.errors import LocalStackError
from berth_local.postgres_binaries import enterable

__all__ = ["LocalSettings", "ProvidersName", "UnknownBus", "UnknownProviders", "chosen_providers"]

BusName = Literal["embedded", "kafka"]
ProvidersName = Literal["played", "real"]


class UnknownBus(LocalStackError):
    """BUS names no bus. It is `embedded` (on Postgres, the default) or `kafka` (Apache Kafka)."""


class UnknownProviders(LocalStackError):
    """PROVIDERS is neither `played` (Gmail and others are played on this machine, the default) nor `real` (they are dialled)."""


def chosen_providers(environment: Mapping[str, str] = os.environ) -> ProvidersName | None:
    """Whether the sandbox plays Gmail and the others, or leaves their names to them: PROVIDERS, None where it is not set.

    Raises:
        UnknownProviders: it says something else.
    """
    chosen = environment.get("PROVIDERS") or None
    if chosen not in (None, *get_args(ProvidersName)):
        raise UnknownProviders(
            f"PROVIDERS={chosen}: there are `played` (Gmail and others are played on this machine, the default) "
            "and `real` (their names lead to them)"
        )
    return cast("ProvidersName | None", chosen)


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The choices.

    Attributes:
        directory: for data, logs and descriptions, usually `.run`.
        bus: what carries the events.
        database_url: a server to use instead of an own one; its role may create roles and databases.
        kafka_bootstrap: a Kafka to use instead of an own one.
        providers: whether the sandbox plays Gmail and the others; None: as at the last start.
    """

    directory: Path
    bus: BusName = "embedded"
    database_url: str | None = None
    kafka_bootstrap: str | None = None
    providers: ProvidersName | None = None

    @classmethod
    def read(cls, directory: Path, environment: Mapping[str, str] = os.environ) -> "LocalSettings":
        """From the environment: BUS, DATABASE_URL, KAFKA_BOOTSTRAP, PROVIDERS.

        Raises:
            UnknownBus: BUS is neither embedded nor kafka.
            UnknownProviders: PROVIDERS is neither played nor real.
        """
        kafka_bootstrap = environment.get("KAFKA_BOOTSTRAP") or None
        bus = environment.get("BUS") or ("kafka" if kafka_bootstrap else "embedded")
        if bus not in get_args(BusName):
            raise UnknownBus(f"BUS={bus}: there are `embedded` (on Postgres, the default) and `kafka` (Apache Kafka)")
        return cls(
            directory=directory.resolve(),
            bus="kafka" if bus == "kafka" else "embedded",
            database_url=environment.get("DATABASE_URL") or None,
            kafka_bootstrap=kafka_bootstrap if bus == "kafka" else None,
            providers=chosen_providers(environment),
        )

    @property
    def logs(self) -> Path:
        """Where the parts write what they say."""
        return self.directory / "logs"

    @property
    def postgres_directory(self) -> Path:
        """Where an own Postgres keeps its data.

        Started by root it runs as `nobody`, who cannot enter a repository below /root; then it is below /var/lib.
        """
        if os.geteuid() == 0 and not enterable(self.directory):
            return Path("/var/lib/berth-local") / _digest(str(self.directory))
        return self.directory / "postgres"

    @property
    def database_suffix(self) -> str:
        """Behind the names of the databases: what was published on one bus is unknown to another."""
        if self.bus == "embedded":
            return ""
        return f"_kafka_{_digest(self.kafka_bootstrap)}" if self.kafka_bootstrap else "_kafka"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
