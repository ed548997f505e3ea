"""Checkups on Dovecot and Postfix: mail that is really sent, delivered, found, read and deleted."""

import asyncio
import imaplib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from uuid import UUID, uuid4

import pytest

from berth_connector.bootstrap import make_tokens
from berth_connector.checkup.delivery import Means
from berth_connector.checkup.examiner import Examiner
from berth_connector.checkup.message import compose
from berth_connector.checkup.worker import Errand
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.oauth import WorkspaceKey
from berth_connector.probe import Dialler, Limits, Login, TokenGrant, client_context
from berth_events.contracts import Checkup, CredentialRef, MailServer
from berth_events.runtime.clock import SystemClock
from berth_net import Address, HostGuard, Policy
from berth_testing.asker import settings_for
from berth_testing.canaries import Canaries
from berth_testing.mail_bed import MailBed
from berth_testing.mail_users import bulk_user
from berth_testing.oauth_bed import OAuthBed
from berth_vault import Credential

pytestmark = [pytest.mark.mail, pytest.mark.usefixtures("no_leaks")]

ALICE, SPAM, LOST, CANARY = (f"{name}@test.example" for name in ("alice", "spam", "lost", "canary"))
SENDER = "100.0.0.7"


class BedDns:
    """Knows the hosts of the bed, and the name of the sender that the bed makes up."""

    def __init__(self, hosts: dict[str, str]) -> None:
        self._hosts = hosts

    async def addresses(self, host: str) -> tuple[Address, ...]:
        return (ip_address(self._hosts[host]),)

    async def names(self, address: Address) -> tuple[str, ...]:
        return ("mail-sor-f41.google.com",) if str(address) == SENDER else ()


def examiner_of(bed: MailBed, arrival: float = 20) -> Examiner:
    dns = BedDns(bed.hosts)
    guard = HostGuard(dns, Policy.parse("127.0.0.0/8", ",".join(map(str, bed.ports.values()))))
    limits = Limits()
    means = Means(
        dialler=Dialler(guard, client_context(bed.ca_file), limits),
        table=DiagnosisTable.load(),
        clock=SystemClock(),
        limits=limits,
        local_hostname="verify.test.example",
        arrival=arrival,
    )
    return Examiner(means, dns)


async def check_up(
    bed: MailBed,
    user: str,
    *,
    checkup_id: UUID | None = None,
    password: str | None = None,
    security: str = "tls",
    arrival: float = 20,
    grant: TokenGrant | None = None,
) -> Checkup:
    def login(port: str) -> Login:
        named = {"host": bed.hostname, "port": bed.ports[port], "security": security, "username": user}
        server = MailServer.model_validate({**named, "mechanism": "xoauth2" if grant else "auto"})
        return Login(server, "" if grant else password or bed.passwords[user])

    ports = ("imaps", "smtps") if security == "tls" else ("imap", "smtp")

    async def note(_at: datetime) -> None:
        """Nobody takes over."""

    imap, smtp = map(login, ports)
    errand = Errand(checkup_id or uuid4(), None, note)
    return (await examiner_of(bed, arrival).examine(errand, user, imap, smtp, grant)).checkup


@contextmanager
def signed_in(bed: MailBed, user: str) -> Iterator[imaplib.IMAP4_SSL]:
    context = bed.tls_context()
    context.check_hostname = False
    with imaplib.IMAP4_SSL("127.0.0.1", bed.ports["imaps"], ssl_context=context) as client:
        client.login(user, bed.passwords[user])
        yield client


async def messages(bed: MailBed, user: str, folder: str) -> list[bytes]:
    """The Message-IDs in a folder, those that are marked as deleted too."""

    def read() -> list[bytes]:
        with signed_in(bed, user) as client:
            _, count = client.select(folder, readonly=True)
            found = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1] if count != [b"0"] else []
            return [part[1].strip() for part in found if isinstance(part, tuple)]

    return await asyncio.to_thread(read)


async def put(bed: MailBed, folder: str, *messages: bytes, flags: str = "") -> None:
    """Into a folder of Alice's."""

    def append() -> None:
        with signed_in(bed, ALICE) as client:
            for message in messages:
                client.append(folder, flags, "", message)

    await asyncio.to_thread(append)


def empty(bed: MailBed, user: str) -> None:
    with signed_in(bed, user) as client:
        for folder in ("INBOX", "Junk", "Sent", "Trash"):
            if client.select(folder)[1] != [b"0"]:
                client.store("1:*", "+FLAGS", "(\\Deleted)")
                client.expunge()


@pytest.fixture
async def bed(mail_bed: MailBed) -> AsyncIterator[MailBed]:
    yield mail_bed
    for user in (ALICE, SPAM):
        await asyncio.to_thread(empty, mail_bed, user)


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_message_is_delivered_read_and_deleted(bed: MailBed, security: str) -> None:
    before = datetime.now(UTC)
    found = await check_up(bed, ALICE, security=security)
    assert found.diagnosis is None
    assert (found.outcome, found.folder, found.sending_ip) == ("delivered", "INBOX", SENDER)
    assert (found.reverse_dns, found.provider) == ("mail-sor-f41.google.com", "google")
    assert (found.dkim_domain, found.dkim_selector) == ("test.example", "bed")
    assert found.authentication_results
    assert found.authentication_results.startswith("mail.test.example; dkim=pass")
    assert found.delay_ms is not None
    assert 0 < found.delay_ms < 15_000
    assert before <= found.started_at <= datetime.now(UTC)
    assert await messages(bed, ALICE, "INBOX") == []


async def test_a_message_in_the_spam_folder_is_found_there(bed: MailBed) -> None:
    found = await check_up(bed, SPAM)
    assert (found.outcome, found.folder, found.dkim_selector) == ("spam", "Junk", "bed")
    assert await messages(bed, SPAM, "Junk") == []


async def test_a_message_that_never_arrives_is_missing(bed: MailBed) -> None:
    found = await check_up(bed, LOST, arrival=1.5)
    assert found.outcome == "missing"
    assert found.diagnosis
    assert found.diagnosis.code == "MESSAGE_NOT_ARRIVED"
    assert (found.delay_ms, found.folder, found.sending_ip) == (None, None, None)


async def test_nobody_elses_message_is_touched(bed: MailBed) -> None:
    other = b"Message-ID: <other@x>\r\nSubject: hello\r\n\r\nhello\r\n"
    marked = b"Message-ID: <marked@x>\r\nSubject: hello\r\n\r\nhello\r\n"
    # looks like it to a server that searches for a part of the text
    like = f"Message-ID: <like@x>\r\nX: y\r\n\r\n{uuid4()}\r\n".encode()
    await put(bed, "INBOX", other, like)
    await put(bed, "INBOX", marked, flags="(\\Deleted)")
    assert (await check_up(bed, ALICE)).outcome == "delivered"
    left = await messages(bed, ALICE, "INBOX")
    assert left == [b"Message-ID: <other@x>", b"Message-ID: <like@x>", b"Message-ID: <marked@x>"]


async def test_what_a_killed_run_has_sent_is_found_and_not_sent_again(bed: MailBed) -> None:
    """Two copies, as if two runs had been killed, and one in Sent: all are deleted."""
    checkup_id, sent_at = uuid4(), datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=3)
    message = compose(checkup_id, ALICE, "test.example", sent_at)
    await put(bed, "INBOX", message, message)
    await put(bed, "Sent", message)
    found = await check_up(bed, ALICE, checkup_id=checkup_id)
    assert (found.outcome, found.started_at, found.delay_ms) == ("delivered", sent_at, None)
    await asyncio.sleep(0.5)
    assert await messages(bed, ALICE, "INBOX") == []
    assert await messages(bed, ALICE, "Sent") == []


async def test_a_refused_password_is_tried_once_and_nothing_is_sent(bed: MailBed) -> None:
    imap_before = bed.dovecot_log.read_text().count("Password mismatch")
    smtp_before = bed.postfix_log.read_text().count("sasl_username=bob@")
    found = await check_up(bed, "bob@test.example", password="wr0ng")
    assert found.outcome == "failed"
    assert found.diagnosis
    assert found.diagnosis.code == "AUTH_BAD_CREDENTIALS"
    assert bed.dovecot_log.read_text().count("Password mismatch") - imap_before == 1
    assert bed.postfix_log.read_text().count("sasl_username=bob@") == smtp_before


async def test_no_secret_is_in_the_result(bed: MailBed) -> None:
    canaries = Canaries()
    canaries.add("password", bed.passwords[CANARY])
    canaries.in_text("checkup", (await check_up(bed, CANARY)).model_dump_json())
    assert canaries.leaks == []


async def test_many_at_once(bed: MailBed) -> None:
    found = await asyncio.gather(
        *(check_up(bed, user, password=password) for user, password in map(bulk_user, range(30)))
    )
    assert [one.outcome for one in found] == ["delivered"] * 30


async def test_a_checkup_that_is_cancelled_ends_at_once(bed: MailBed) -> None:
    task = asyncio.create_task(check_up(bed, LOST))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(1):
            await task


@pytest.mark.parametrize("provider", ["google", "microsoft"])
async def test_a_mailbox_that_signs_in_with_a_token(oauth_bed: OAuthBed, provider: str) -> None:
    ada, service, secret = "ada@acme.example", oauth_bed.service, "s3cr~t.Value-of-the-App"
    named: dict[str, str] = {}
    if provider == "google":
        credential = Credential({"service_account_key": service.google_workspace(ada)[1]})
    else:
        tenant, application = service.microsoft_workspace(ada, secret=secret)
        named = {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
        credential = Credential({"client_secret": secret})
    key = WorkspaceKey(provider=provider, credential_ref=CredentialRef(credential_id=uuid4(), version=1), **named)
    with make_tokens(settings_for(service), SystemClock()) as tokens:
        grant = TokenGrant(service=provider, fetch=partial(tokens.token, key, ada, credential))
        found = await check_up(oauth_bed.mail, ada, grant=grant)
    assert (found.outcome, found.diagnosis, found.dkim_selector) == ("delivered", None, "bed")
