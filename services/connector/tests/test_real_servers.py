"""The prober against Dovecot and Postfix: what real servers reply, and what it is called."""

from ipaddress import ip_address
from typing import Any
from uuid import uuid4

import pytest

from berth_connector.diagnosis import DiagnosisTable
from berth_connector.probe import Login, Prober, client_context
from berth_events.contracts import MailServer, Verification
from berth_events.runtime.clock import SystemClock
from berth_net import Address, HostGuard, Policy
from berth_testing.mail_bed import MailBed

pytestmark = pytest.mark.mail

#: The protocol and security of each port of the bed.
PORTS = {
    "imaps": ("imap", "tls"),
    "imap": ("imap", "starttls"),
    "submissions": ("smtp", "tls"),
    "submission": ("smtp", "starttls"),
    "smtps": ("smtp", "tls"),
    "smtp": ("smtp", "starttls"),
}


class BedResolver:
    """Knows the hosts of the bed."""

    def __init__(self, hosts: dict[str, str]) -> None:
        self._hosts = hosts

    async def addresses(self, host: str) -> tuple[Address, ...]:
        return (ip_address(self._hosts[host]),)


async def verify(
    bed: MailBed, port: str, user: str, password: str | None = None, *, host: str | None = None, **changes: Any
) -> Verification:
    protocol, security = PORTS[port]
    server = MailServer.model_validate(
        {"host": host or bed.hostname, "port": bed.ports[port], "security": security, "username": user, **changes}
    )
    login = Login(server, bed.passwords[user] if password is None else password)
    policy = Policy.parse("127.0.0.0/8", ",".join(map(str, bed.ports.values())))
    prober = Prober(
        HostGuard(BedResolver(bed.hosts), policy),
        client_context(bed.ca_file),
        DiagnosisTable.load(),
        SystemClock(),
        local_hostname="verify.test.example",
    )
    imap, smtp = (login, None) if protocol == "imap" else (None, login)
    return (await prober.verify(uuid4(), imap, smtp)).verification


def failure(found: Verification) -> tuple[str, str, str]:
    failed = next(step for step in found.steps if step.outcome == "failed")
    assert failed.diagnosis
    return failed.name, failed.diagnosis.code, failed.diagnosis.confidence


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    "user",
    ["alice@test.example", "quote@test.example", "utf8@test.example", "long@test.example", "canary@test.example"],
)
async def test_every_password_works_on_every_server(port: str, user: str, mail_bed: MailBed) -> None:
    found = await verify(mail_bed, port, user)
    assert found.outcome == "connected", found.diagnosis
    # Dovecot's submission has no relay to hand its NOOP to
    assert all(step.outcome == "ok" for step in found.steps if step.name != "noop")
    assert mail_bed.passwords[user] not in found.model_dump_json()


@pytest.mark.parametrize("port", PORTS)
async def test_what_the_server_speaks_is_found_out(port: str, mail_bed: MailBed) -> None:
    found = await verify(mail_bed, port, "alice@test.example", security="auto")
    assert found.outcome == "connected", found.diagnosis
    _, security = PORTS[port]
    assert security in {step.name for step in found.steps}


async def test_a_certificate_is_checked_on_a_port_that_was_found_out(mail_bed: MailBed) -> None:
    found = await verify(mail_bed, "imaps", "alice@test.example", security="auto", host="untrusted.test.example")
    assert failure(found)[:2] == ("tls", "TLS_CERT_UNTRUSTED")


@pytest.mark.parametrize(
    ("port", "user", "code"),
    [
        ("imaps", "alice@test.example", "AUTH_BAD_CREDENTIALS"),
        ("submissions", "alice@test.example", "AUTH_BAD_CREDENTIALS"),
        ("smtps", "alice@test.example", "AUTH_BAD_CREDENTIALS"),
        ("smtp", "alice@test.example", "AUTH_BAD_CREDENTIALS"),
    ],
)
async def test_a_wrong_password_is_sent_once(port: str, user: str, code: str, mail_bed: MailBed) -> None:
    found = await verify(mail_bed, port, user, "wrong")
    assert failure(found) == ("authenticate", code, "high")
    assert found.diagnosis
    assert found.diagnosis.retry_policy == "never"


@pytest.mark.parametrize(
    ("port", "user", "code"),
    [
        ("imaps", "disabled@test.example", "ACCOUNT_DISABLED"),
        ("submissions", "disabled@test.example", "ACCOUNT_DISABLED"),
        ("imaps", "tempfail@test.example", "PROVIDER_TEMPORARY"),
        ("submissions", "tempfail@test.example", "PROVIDER_TEMPORARY"),
        ("imaps", "expired@test.example", "PASSWORD_EXPIRED"),
    ],
)
async def test_other_refusals_are_told_apart(port: str, user: str, code: str, mail_bed: MailBed) -> None:
    name, found_code, _ = failure(await verify(mail_bed, port, user))
    assert (name, found_code) == ("authenticate", code)


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("wronghost.test.example", "TLS_CERT_NAME"),
        ("expired.test.example", "TLS_CERT_EXPIRED"),
        ("untrusted.test.example", "TLS_CERT_UNTRUSTED"),
    ],
)
@pytest.mark.parametrize("port", ["imaps", "imap"])
async def test_certificates_are_checked(host: str, code: str, port: str, mail_bed: MailBed) -> None:
    name, found_code, _ = failure(await verify(mail_bed, port, "alice@test.example", host=host))
    assert (name, found_code) == (PORTS[port][1], code)


async def test_tls_on_a_starttls_port_is_told(mail_bed: MailBed) -> None:
    found = await verify(mail_bed, "imap", "alice@test.example", security="tls")
    assert failure(found)[:2] == ("tls", "TLS_MODE_MISMATCH")


async def test_login_is_used_when_it_is_asked_for(mail_bed: MailBed) -> None:
    for user in ("alice@test.example", "quote@test.example", "utf8@test.example"):
        found = await verify(mail_bed, "imaps", user, mechanism="login")
        assert found.imap is True, (user, found.diagnosis)
