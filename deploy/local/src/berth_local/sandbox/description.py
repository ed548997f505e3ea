"""Where the sandbox is, for those who use it."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Host", "Identity", "Mailbox", "MicrosoftWorkspace", "PlayedProvider", "Sandbox"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _MailServer(_Value):
    """Where IMAP and submission are."""

    address: str = Field(description="on loopback")
    imap: int = Field(description="port with STARTTLS")
    imaps: int = Field(description="port with TLS from the first byte")
    submission: int = Field(description="SMTP port with STARTTLS")
    submissions: int = Field(description="SMTP port with TLS from the first byte")


class Host(_MailServer):
    """A mail host."""

    name: str = Field(description="in MX; imap.DOMAIN and smtp.DOMAIN are names of it too")
    domain: str
    trusted: bool = Field(description="whether its certificate is signed by the sandbox's authority")
    dmarc: bool = Field(description="whether its domain publishes a DMARC record")


class Mailbox(_Value):
    """A mailbox; its address is the user name."""

    address: str
    password: str
    host: str


class PlayedProvider(_MailServer):
    """A provider that the sandbox plays, at one address under all its names."""

    name: str = Field(description="in the table of diagnoses")
    imap_hosts: tuple[str, ...]
    smtp_hosts: tuple[str, ...]
    domains: tuple[str, ...] = Field(description="of its mailboxes")
    mailboxes: tuple[str, ...] = Field(description="names before the @, in each domain; they say what is the matter")

    @property
    def on_standard_ports(self) -> bool:
        """Whether it is found where the provider is, so that nobody has to name servers."""
        return (self.imap, self.imaps, self.submission, self.submissions) == (143, 993, 587, 465)


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
    providers: tuple[PlayedProvider, ...] = Field(default=(), description="that are played; none with PROVIDERS=real")
    provider_password: str | None = Field(default=None, description="of all their mailboxes")
    identity: Identity | None = Field(
        default=None, description="what email workspaces are made of; null: there are none"
    )

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports of the mail hosts; BERTH_ALLOW_PORTS."""
        servers: tuple[_MailServer, ...] = (*self.hosts, *self.providers)
        return tuple(sorted({p for one in servers for p in (one.imap, one.imaps, one.submission, one.submissions)}))

    def settings(self) -> dict[str, str]:
        """The environment variables by which services find all this, and trust it."""
        settings = {
            "BERTH_DNS_SERVERS": ",".join(self.dns_servers),
            "BERTH_ALLOW_NETWORKS": ",".join(self.networks),
            "BERTH_ALLOW_PORTS": ",".join(str(number) for number in self.ports),
            "BERTH_EXTRA_CA_FILE": self.authority_file,
        }
        if identity := self.identity:
            settings |= {
                "BERTH_GOOGLE_MAIL_HOSTS": self.mail_hosts(identity.google_domain),
                "BERTH_MICROSOFT_MAIL_HOSTS": self.mail_hosts(identity.microsoft_domain),
                "BERTH_GOOGLE_TOKEN_URL": identity.google_token_url,
                "BERTH_MICROSOFT_AUTHORITY": identity.microsoft_authority,
            }
        return settings

    def mailbox(self, address: str) -> tuple[Mailbox, Host]:
        """A mailbox and the host it is on."""
        mailbox = next(mailbox for mailbox in self.mailboxes if mailbox.address == address)
        return mailbox, next(host for host in self.hosts if host.name == mailbox.host)

    def mail_hosts(self, domain: str) -> str:
        """IMAP and SMTP of a domain, as BERTH_GOOGLE_MAIL_HOSTS and BERTH_MICROSOFT_MAIL_HOSTS of the gateway take them.

        Of a domain that has its mailboxes at a played provider they are the provider's.
        """
        if at := next((provider for provider in self.providers if domain in provider.domains), None):
            return f"{at.imap_hosts[0]}:{at.imaps}:tls,{at.smtp_hosts[0]}:{at.submission}:starttls"
        host = next(host for host in self.hosts if host.domain == domain)
        return f"imap.{domain}:{host.imaps}:tls,smtp.{domain}:{host.submission}:starttls"
