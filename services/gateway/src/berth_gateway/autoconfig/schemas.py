"""What autoconfiguration answers."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from berth_events.contracts import Provider
from berth_gateway.autoconfig.lookup import Confidence, Source
from berth_gateway.autoconfig.services import SignIn, UsernameForm

__all__ = ["Autoconfiguration", "FilledIn", "FoundServer"]

FilledIn = Annotated[
    dict[Literal["imap", "smtp"], Source],
    Field(description="servers that the request left out, and where they were found; missing: it named all"),
]


class FoundServer(BaseModel):
    """A mail server, and how to sign in to it."""

    host: str
    port: int
    security: Literal["tls", "starttls", "auto"]
    username: str
    username_form: UsernameForm
    source: Source = Field(
        description="`service_table`: a service's own address; `mail_exchanger`: the domain's MX is a service's; "
        "`service_record`: an SRV record (RFC 6186, RFC 8314)"
    )
    confidence: Confidence = Field(
        description="`medium`: a record names a host outside the domain; ask before a password goes there"
    )


class MailServiceSummary(BaseModel):
    """Who has the mailboxes of the domain."""

    code: str
    name: str
    sign_in: list[SignIn] = Field(description="what it takes from programs; empty: nothing")
    help_url: str | None = Field(description="how to get it")


class Autoconfiguration(BaseModel):
    """Where an address's mailbox probably is. Nobody has tried it: that is what `/v1/probes` is for."""

    email: str
    domain: str
    provider: Provider = Field(description="to be sent to `/v1/accounts`")
    service: MailServiceSummary | None = Field(description="null: none that Berth knows")
    imap: list[FoundServer] = Field(description="best first")
    smtp: list[FoundServer] = Field(description="best first")
    complete: bool = Field(description="false: a question to the DNS was not answered in time; ask again")
