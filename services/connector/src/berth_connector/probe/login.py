"""What a verification signs in with."""

from dataclasses import dataclass, field

from berth_connector.probe.faults import Fault
from berth_events.contracts import MailServer

__all__ = ["Login"]


@dataclass(frozen=True, slots=True)
class Login:
    """A server and what proves its user: a password, or an access token when the mechanism is one for tokens."""

    server: MailServer
    password: str = field(repr=False)

    @property
    def bearer(self) -> bool:
        """Whether the password is an access token."""
        return self.server.mechanism in {"xoauth2", "oauthbearer"}

    @property
    def table_step(self) -> str:
        """What the table of diagnoses calls the sign-in: the same words mean another thing when a token is refused."""
        return "auth_oauth" if self.bearer else "auth_password"

    def check(self) -> None:
        """Raises Fault when user name or password cannot be sent: what separates the parts of a SASL response is in them."""
        separator = "\1" if self.bearer else "\0"
        if separator in self.server.username + self.password:
            raise Fault.found("UNSENDABLE", "User name or password contains a control character.")
