"""The session's mail servers: Dovecot and Postfix with TLS on loopback."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from berth_testing import dovecot, postfix
from berth_testing.certificates import HOSTS, issue_certificates
from berth_testing.mail_users import PASSWORDS
from berth_testing.ran import ran_against
from berth_testing.servers import free_ports, require_root_and, working_directory

__all__ = ["MailBed", "mail_servers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailBed:
    """Running servers.

    Attributes:
        ca_file: the authority of all certificates but `untrusted`.
        ports: `imap` and `imaps` (Dovecot), `submission` and `submissions` (Dovecot), `smtp` and `smtps` (Postfix, on
            127.0.0.1 only); the first of each pair is STARTTLS, the second TLS.
        hosts: the loopback address of each host name; the certificate that it shows is named in certificates.py.
        hostname: the host that is right in every respect.
        passwords: of each user (mail_users.py); there are also `bulk_user(0)` and so on.
        dovecot_log: what Dovecot has logged.
        postfix_log: what Postfix has logged.
    """

    ca_file: Path
    ports: dict[str, int]
    hosts: dict[str, str]
    hostname: str
    passwords: dict[str, str]
    dovecot_log: Path
    postfix_log: Path

    def servers(self, *, imap_host: str = "mail.test.example", username: str | None = None) -> dict[str, Any]:
        """The part of a request to connect an account that names the servers: IMAP of a host, SMTP of Postfix.

        Args:
            imap_host: one of `hosts`, or one that does not exist.
            username: for both; None leaves it to the address.
        """
        named = {} if username is None else {"username": username}
        return {
            "imap": {"host": imap_host, "port": self.ports["imaps"], "security": "tls", **named},
            "smtp": {"host": self.hostname, "port": self.ports["smtps"], "security": "tls", **named},
        }

    def tls_context(self) -> ssl.SSLContext:
        """A context that trusts the bed's authority only."""
        return ssl.create_default_context(cafile=self.ca_file)


@contextmanager
def mail_servers(oauth: Mapping[str, object] | None = None) -> Iterator[MailBed]:
    """Start both; everything is gone afterwards.

    Args:
        oauth: see dovecot.py.
    """
    with working_directory("berth-mail-") as directory:
        tls = directory / "tls"
        ca_file = issue_certificates(tls)
        names = [*dovecot.PORTS, *postfix.PORTS]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        imap = dovecot.dovecot(directory / "dovecot", tls, ports, oauth)
        smtp = postfix.postfix(directory / "postfix", tls, directory / "dovecot", ports)
        try:
            imap.start([ports[name] for name in dovecot.PORTS])
            smtp.start([ports[name] for name in postfix.PORTS])
            yield MailBed(
                ca_file=ca_file,
                ports=ports,
                hosts=dict(HOSTS),
                hostname="mail.test.example",
                passwords=dict(PASSWORDS),
                dovecot_log=imap.log,
                postfix_log=smtp.log,
            )
        finally:
            smtp.stop()
            imap.stop()


@pytest.fixture(scope="session")
def mail_bed(pytestconfig: pytest.Config) -> Iterator[MailBed]:
    """Dovecot and Postfix, or a skip with the reason where they cannot run."""
    require_root_and("dovecot", "postfix")
    with mail_servers() as bed:
        ran_against(pytestconfig, "Dovecot and Postfix (Debian's)")
        yield bed
