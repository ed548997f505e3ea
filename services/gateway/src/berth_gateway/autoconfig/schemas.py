"""What autoconfiguration answers."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from berth_events.contracts import Provider
from berth_gateway.autoconfig.findings import Confidence, Outcome, Source
from berth_gateway.autoconfig.services import Authentication, Security, SignIn, Table, UsernameForm

__all__ = ["Autoconfiguration", "FilledIn", "FoundServer", "LookedUp", "MailServiceSummary"]

FilledIn = Annotated[
    dict[Literal["imap", "smtp"], Source],
    Field(description="servers that the request left out, and where they were found; missing: it named all"),
]


class FoundServer(BaseModel):
    """A mail server, and how to sign in to it."""

    host: str
    port: int
    security: Security
    username: str = Field(description="made from the address as it was sent, with a `+tag` if it has one")
    username_form: UsernameForm = Field(
        description="`address`: name@example.com; `local_part`: name; `address_with_dot`: name.example.com"
    )
    authentication: list[Authentication] = Field(
        description="what the server takes, best first; `encrypted_password`: by CRAM-MD5 or the like; empty: not known"
    )
    source: Source = Field(
        description="`service_table`: an address of a mail service itself; `ispdb`: likewise, in Thunderbird's database; "
        "`mail_exchanger`: the domain's MX is a service's; `service_record`: an SRV record (RFC 6186, RFC 8314)"
    )
    confidence: Confidence = Field(
        description="`medium`: only a record names the host, which is neither in the domain nor a known service's, or only the "
        "network of the MX suggests the service; ask before a password goes there"
    )


class MailServiceSummary(BaseModel):
    """Who has the mailboxes of the domain."""

    code: str
    name: str
    table: Table = Field(description="who says so: Berth's own table, or Thunderbird's ISPDB (MPL 2.0)")
    sign_in: list[SignIn] = Field(
        description="what it takes from programs; no `password`: the normal one is refused; empty: nothing"
    )
    help_url: str | None = Field(description="how to get it")


class LookedUp(BaseModel):
    """One place where was looked."""

    source: Source
    question: str = Field(description="the domain; for the DNS, name and type of the records", examples=["acme.com MX"])
    outcome: Outcome = Field(
        description="`found`; `nothing`: no such line or record; `unknown`: there is an MX, of no known service; "
        "`not_offered`: the domain says that it has none (a target of `.`); `refused`: no host that is named there exists "
        "and may be connected to, or the domain is one of private networks; `unanswered`: the name servers failed, or did "
        "not answer in time"
    )


class Autoconfiguration(BaseModel):
    """Where an address's mailbox probably is. Nobody has tried it: that is what `/v1/probes` is for."""

    email: str
    domain: str
    provider: Provider = Field(description="to be sent to `/v1/accounts`")
    service: MailServiceSummary | None = Field(description="null: none that Berth knows")
    imap: list[FoundServer] = Field(description="best first")
    smtp: list[FoundServer] = Field(description="best first")
    looked_up: list[LookedUp] = Field(description="where was looked, in this order; it ends where all was known")
    complete: bool = Field(description="false: a question to the DNS was not answered in time; ask again")
