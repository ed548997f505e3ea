"""Settings that every service has, from the environment."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["ServiceSettings"]


class ServiceSettings(BaseSettings):
    """Settings of a service. The bus is Kafka when KAFKA_BOOTSTRAP is given, else the embedded one at BUS_URL."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    database_url: SecretStr = Field(
        description="Postgres of this service: postgresql://user:password@host:port/database"
    )
    migrate_database_url: SecretStr | None = Field(
        default=None, description="the same database as its owner, for `migrate`; default DATABASE_URL"
    )
    kafka_bootstrap: str | None = Field(default=None, description="host:port,host:port")
    bus_url: SecretStr | None = Field(default=None, description="Postgres of the embedded bus, used without Kafka")
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65535)
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = "INFO"
    pool_size: int = Field(default=10, ge=2, description="connections to Postgres at most, besides the relay's")
    drain_seconds: float = Field(
        default=35, ge=0, description="how long a shutdown waits for work in flight; a verification takes 30 s at most"
    )
    lease_seconds: float = Field(
        default=30, gt=0, description="after this time without a sign of life work is given away"
    )

    def database(self) -> str:
        """The DSN to serve with."""
        return self.database_url.get_secret_value()

    def owner_database(self) -> str:
        """The DSN to migrate with."""
        return (self.migrate_database_url or self.database_url).get_secret_value()
