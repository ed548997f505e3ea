import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator

import pytest

from berth_testing.mail_bed import MailBed
from berth_testing.mail_users import bulk_user


@contextlib.asynccontextmanager
async def connected(
    bed: MailBed, service: str, host: str = "mail.test.example"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(
            bed.hosts[host], bed.ports[service], ssl=bed.tls_context(), server_hostname=host
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


def plain(user: str, password: str) -> bytes:
    return base64.b64encode(f"\0{user}\0{password}".encode())


async def imap_login(bed: MailBed, user: str, password: str) -> str:
    async with connected(bed, "imaps") as (reader, writer):
        assert (await reader.readline()).startswith(b"* OK")
        writer.write(b"a AUTHENTICATE PLAIN\r\n")
        await reader.readline()
        writer.write(plain(user, password) + b"\r\n")
        return (await reader.readline()).decode()


async def smtp_login(bed: MailBed, service: str, user: str, password: str) -> str:
    async with connected(bed, service) as (reader, writer):
        await reader.readline()
        writer.write(b"EHLO client.test.example\r\n")
        while (await reader.readline())[3:4] == b"-":
            pass
        writer.write(b"AUTH PLAIN\r\n")
        await reader.readline()
        writer.write(plain(user, password) + b"\r\n")
        return (await reader.readline()).decode()


@pytest.mark.parametrize("user", ["alice@test.example", "quote@test.example", "utf8@test.example", "long@test.example"])
async def test_every_kind_of_password_works_everywhere(mail_bed: MailBed, user: str) -> None:
    password = mail_bed.passwords[user]
    assert (await imap_login(mail_bed, user, password)).startswith("a OK")
    assert (await smtp_login(mail_bed, "submissions", user, password)).startswith("235")
    assert (await smtp_login(mail_bed, "smtps", user, password)).startswith("235")


@pytest.mark.parametrize(
    ("user", "imap", "submission"),
    [
        ("bob@test.example", "a NO [AUTHENTICATIONFAILED]", "535 5.7.8"),
        ("disabled@test.example", "a NO [CONTACTADMIN] Account_disabled", "525 5.7.13"),
        ("tempfail@test.example", "a NO [UNAVAILABLE]", "454 4.7.0"),
        ("expired@test.example", "a NO [EXPIRED]", "535 5.7.8 Password expired"),
    ],
)
async def test_users_fail_in_their_own_way(mail_bed: MailBed, user: str, imap: str, submission: str) -> None:
    password = "secret"  # not bob's
    assert (await imap_login(mail_bed, user, password)).startswith(imap)
    assert (await smtp_login(mail_bed, "submissions", user, password)).startswith(submission)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("wronghost.test.example", "Hostname mismatch"),
        ("expired.test.example", "certificate has expired"),
        ("untrusted.test.example", "unable to get local issuer certificate"),
    ],
)
async def test_addresses_show_certificates_that_are_wrong(mail_bed: MailBed, host: str, reason: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        async with connected(mail_bed, "imaps", host):
            pass


async def test_remote_and_rsa_are_good_and_remote_refuses_plain_text(mail_bed: MailBed) -> None:
    for host in ("remote.test.example", "rsa.test.example"):
        async with connected(mail_bed, "imaps", host) as (reader, _):
            assert (await reader.readline()).startswith(b"* OK")
    reader, writer = await asyncio.open_connection(mail_bed.hosts["remote.test.example"], mail_bed.ports["imap"])
    assert b"LOGINDISABLED" in await reader.readline()
    writer.transport.abort()


async def test_two_hundred_logins_at_once_from_one_address(mail_bed: MailBed) -> None:
    users = [bulk_user(number) for number in range(200)]
    async with asyncio.timeout(60):
        imap = await asyncio.gather(*(imap_login(mail_bed, *user) for user in users))
        smtp = await asyncio.gather(*(smtp_login(mail_bed, "smtps", *user) for user in users))
    assert all(reply.startswith("a OK") for reply in imap)
    assert all(reply.startswith("235") for reply in smtp)
