"""The session's mail servers that take access tokens: Dovecot and Postfix, and the token service that gives them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from berth_testing.mail_bed import MailBed, mail_servers
from berth_testing.servers import require_root_and, working_directory
from berth_testing.token_service import TokenService, token_service

__all__ = ["OAuthBed", "oauth_servers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthBed:
    """Running servers.

    Attributes:
        mail: Dovecot and Postfix; besides passwords they take the service's tokens.
        service: gives tokens.
    """

    mail: MailBed
    service: TokenService


@contextmanager
def oauth_servers() -> Iterator[OAuthBed]:
    """Start all of them; everything is gone afterwards."""
    with working_directory("berth-oauth-") as directory:
        tokens = directory / "tokens"
        tokens.mkdir(mode=0o755)
        with token_service(directory, tokens=tokens) as service:
            url = f"http://127.0.0.1:{service.introspection_port}/introspect"
            with mail_servers({"introspection": url, "tokens": tokens}) as mail:
                yield OAuthBed(mail=mail, service=service)


@pytest.fixture(scope="session")
def oauth_servers_of_session() -> Iterator[OAuthBed]:
    """All of them, or a skip with the reason where they cannot run."""
    require_root_and("dovecot", "postfix")
    with oauth_servers() as bed:
        yield bed


@pytest.fixture
def oauth_bed(oauth_servers_of_session: OAuthBed) -> Iterator[OAuthBed]:
    """The session's servers, the token service without faults."""
    oauth_servers_of_session.service.reset()
    yield oauth_servers_of_session
    oauth_servers_of_session.service.reset()
