"""Where the sandbox is, for those who use it."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Host", "Identity", "Mailbox", "MicrosoftWorkspace", "Sandbox"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Host(_Value):
    """A mail host."""

    name: str = Field(description="in MX; imap.DOMAIN and smtp.DOMAIN are names of it too")
    domain: str
    address: str = Field(description="on loopback")
    trusted: bool = Field(description="whether its certificate is signed by the sandbox's authority")
    dmarc: bool = Field(description="whether its domain publishes a DMARC record")
    imap: int = Field(description="port with STARTTLS")
    imaps: int = Field(description="port with TLS from the first byte")
    submission: int = Field(description="SMTP port with STARTTLS")
    submissions: int = Field(description="SMTP port with TLS from the first byte")


class Mailbox(_Value):
    """A mailbox; its address is the user name."""

    address: str
    password: str
    host: str


class MicrosoftWorkspace(_Value):
    """What is deposited of an app registration."""

    tenant_id: str
    client_id: str
    client_secret: str
    secret_id: str


class Identity(_Value):
    """The identity providers, and what to make email workspaces of."""

    google_token_url: str = Field(description="BERTH_GOOGLE_TOKEN_URL of the connector")
    microsoft_authority: str = Field(description="BERTH_MICROSOFT_AUTHORITY of the connector")
    google_key_file: str = Field(description="JSON key of a service account with domain-wide delegation")
    google_domain: str = Field(description="whose mailboxes it opens")
    microsoft: MicrosoftWorkspace
    microsoft_domain: str = Field(description="whose mailboxes the app registration opens")


class Sandbox(_Value):
    """Everything that runs in the sandbox, and what a service needs to use it."""

    dns_servers: tuple[str, ...] = Field(description="address:port; BERTH_DNS_SERVERS of the services")
    networks: tuple[str, ...] = Field(description="of the mail hosts; BERTH_ALLOW_NETWORKS")
    authority_file: str = Field(description="PEM of the authority; BERTH_EXTRA_CA_FILE")
    hosts: tuple[Host, ...]
    mailboxes: tuple[Mailbox, ...]
    identity: Identity | None = Field(
        default=None, description="what email workspaces are made of; null: there are none"
    )

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports of the mail hosts; BERTH_ALLOW_PORTS."""
        return tuple(sorted({p for h in self.hosts for p in (h.imap, h.imaps, h.submission, h.submissions)}))

    def mailbox(self, address: str) -> tuple[Mailbox, Host]:
        """A mailbox and the host it is on."""
        mailbox = next(mailbox for mailbox in self.mailboxes if mailbox.address == address)
        return mailbox, next(host for host in self.hosts if host.name == mailbox.host)

    def mail_hosts(self, domain: str) -> str:
        """IMAP and SMTP of a domain, as BERTH_GOOGLE_MAIL_HOSTS and BERTH_MICROSOFT_MAIL_HOSTS of the gateway take them."""
        host = next(host for host in self.hosts if host.domain == domain)
        return f"imap.{domain}:{host.imaps}:tls,smtp.{domain}:{host.submission}:starttls"
