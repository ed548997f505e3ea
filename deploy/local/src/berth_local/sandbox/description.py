"""Where the sandbox is, for those who use it."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Host", "Mailbox", "Sandbox"]


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


class Sandbox(_Value):
    """Everything that runs in the sandbox, and what a service needs to use it."""

    dns_servers: tuple[str, ...] = Field(description="address:port; BERTH_DNS_SERVERS of the services")
    networks: tuple[str, ...] = Field(description="of the mail hosts; BERTH_ALLOW_NETWORKS")
    authority_file: str = Field(description="PEM of the authority; BERTH_EXTRA_CA_FILE")
    hosts: tuple[Host, ...]
    mailboxes: tuple[Mailbox, ...]

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports of the mail hosts; BERTH_ALLOW_PORTS."""
        return tuple(sorted({p for h in self.hosts for p in (h.imap, h.imaps, h.submission, h.submissions)}))

    def mailbox(self, address: str) -> tuple[Mailbox, Host]:
        """A mailbox and the host it is on."""
        mailbox = next(mailbox for mailbox in self.mailboxes if mailbox.address == address)
        return mailbox, next(host for host in self.hosts if host.name == mailbox.host)
