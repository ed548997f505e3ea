"""What runs where, for scripts and tests: .run/berth.json and .run/env. docs/local-stack.md describes the fields."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from berth_local.files import exports, write_private
from berth_local.sandbox.description import Sandbox
from berth_local.sandbox.hosts import SPARE_MAILBOX

__all__ = ["DESCRIPTION_FILE", "SHELL_FILE", "Demo", "Description", "ServiceDescription"]

DESCRIPTION_FILE = "berth.json"
SHELL_FILE = "env"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServiceDescription(_Value):
    """A running service."""

    url: str = Field(description="its HTTP server; /readyz and /metrics are there")
    database_url: str = Field(description="DSN of its database, for its own role")
    log: str = Field(description="file with its log of this run")
    pid: int


class Demo(_Value):
    """The organization that the demo made, and its keys."""

    organization_id: str
    project_id: str
    api_key: str = Field(description="of the project, for the gateway's API")
    accounts: dict[str, str] = Field(default_factory=dict, description="address -> account id")


class Description(_Value):
    """Everything that runs."""

    pid: int = Field(description="of `make run`; SIGTERM stops everything")
    url: str = Field(description="the gateway")
    bus: str = Field(description="embedded or kafka")
    bus_url: str | None = Field(description="DSN of the embedded bus")
    kafka_bootstrap: str | None = Field(description="host:port of Kafka")
    postgres_url: str = Field(description="DSN of the role that owns the databases")
    operator_key: str = Field(description="creates organizations, projects and keys at the gateway")
    internal_token: str = Field(description="for billing's internal API")
    services: dict[str, ServiceDescription] = Field(description="gateway, connector, dns-auditor, billing")
    sandbox: Sandbox
    demo: Demo

    def write(self, directory: Path) -> None:
        """Write both files, readable by their owner only."""
        write_private(directory / DESCRIPTION_FILE, self.model_dump_json(indent=2) + "\n")
        spare, host = self.sandbox.mailbox(SPARE_MAILBOX)
        shell = {
            "BERTH_URL": self.url,
            "BERTH_KEY": self.demo.api_key,
            "BERTH_SANDBOX_PASSWORD": spare.password,
            "BERTH_SANDBOX_IMAP_PORT": str(host.imaps),
            "BERTH_SANDBOX_SMTP_PORT": str(host.submission),
        }
        if identity := self.sandbox.identity:
            shell |= {
                "BERTH_SANDBOX_GOOGLE_KEY_FILE": identity.google_key_file,
                "BERTH_SANDBOX_TENANT_ID": identity.microsoft.tenant_id,
                "BERTH_SANDBOX_CLIENT_ID": identity.microsoft.client_id,
                "BERTH_SANDBOX_CLIENT_SECRET": identity.microsoft.client_secret,
            }
        write_private(directory / SHELL_FILE, exports(shell))

    @staticmethod
    def read(directory: Path) -> "Description | None":
        """What the running stack wrote; None when it did not come so far."""
        try:
            return Description.model_validate_json((directory / DESCRIPTION_FILE).read_text())
        except (OSError, ValueError):
            return None

    @staticmethod
    def remove(directory: Path) -> None:
        """Nothing runs any more."""
        for name in (DESCRIPTION_FILE, SHELL_FILE):
            (directory / name).unlink(missing_ok=True)
