"""The rows about findings of our own: each brought about on the network, in a certificate, or by what was uploaded."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from unittest.mock import patch
from uuid import uuid4

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from berth_connector.bootstrap import make_tokens
from berth_connector.oauth import IMAP_ROLE, SMTP_ROLE
from berth_connector.probe import Limits
from berth_events.contracts import Diagnosis
from berth_testing.corpus.stage import MAILBOX, Stage
from berth_testing.peers import CLOSE, START_TLS, STAY, Answer, Script
from berth_testing.providers import UNKNOWN_SERVER
from berth_testing.token_service import Fault, busy, garbage, silent, throttled
from berth_vault import Credential

__all__ = ["CONDITIONS", "Condition"]

#: Brings something about with a protocol's server, and gives what the probe makes of it.
Condition = Callable[[Stage, str], Awaitable[Diagnosis | None]]

_HOST: Final = "mail.test.example"
#: Of those that wait until the probe loses its patience.
_HASTY: Final = Limits(connect=0.4, tls=0.4, reply=0.4, authenticate=0.4, look=0.4, token=0.4, total=5)
_IMAP, _SMTP = UNKNOWN_SERVER.imap, UNKNOWN_SERVER.smtp
_GARBAGE: Final = {"imap": b"X9 OK another tag\r\n", "smtp": b"what?\r\n"}
_BARE: Final = {
    "imap": b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nTAG OK done\r\n",
    "smtp": b"250-mail.test.example\r\n250 SIZE 1000\r\n",
}
_STARTTLS_AND_MORE: Final = {
    "imap": b"TAG OK go\r\n* OK injected\r\n",
    "smtp": b"220 go\r\n250 injected\r\n",
}


def _script(protocol: str) -> Script:
    return _IMAP if protocol == "imap" else _SMTP


def _to(protocol: str, imap: str, smtp: str, answer: Answer) -> Script:
    return _script(protocol).but((imap if protocol == "imap" else smtp, answer))


def _greeted(greeting: Answer, *, plain: bool = False, limits: Limits | None = None) -> Condition:
    """The server greets so."""

    async def condition(stage: Stage, protocol: str) -> Diagnosis | None:
        script = Script(greeting=greeting)
        found = await (
            stage.verify(protocol, script, plain=plain, limits=limits)
            if limits
            else stage.verify(protocol, script, plain=plain)
        )
        return found.diagnosis

    return condition


def _certified(make: Callable[[Stage], ssl.SSLContext]) -> Condition:
    """The server shows this certificate."""

    async def condition(stage: Stage, protocol: str) -> Diagnosis | None:
        return (await stage.verify(protocol, _script(protocol), tls=make(stage))).diagnosis

    return condition


def _dialled(host: str) -> Condition:
    """A host of this name is dialled."""

    async def condition(stage: Stage, protocol: str) -> Diagnosis | None:
        return (await stage.verify(protocol, _script(protocol), host=host)).diagnosis

    return condition


# -- certificates


def _server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _other_name(stage: Stage) -> ssl.SSLContext:
    return _server(stage.authority.issue_cert("other.test.example"))


def _stranger(_stage: Stage) -> ssl.SSLContext:
    return _server(trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert(_HOST))


def _past(stage: Stage) -> ssl.SSLContext:
    began, ended = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    return _server(stage.authority.issue_cert(_HOST, not_before=began, not_after=ended))


def _future(stage: Stage) -> ssl.SSLContext:
    begins = datetime.now(UTC) + timedelta(days=300)
    return _server(stage.authority.issue_cert(_HOST, not_before=begins, not_after=begins + timedelta(days=1)))


def _of_a_client(stage: Stage) -> ssl.SSLContext:
    """A certificate that is good for nothing but signing code, which the authority has signed all the same."""
    authority = stage.authority
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _HOST)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_HOST)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(private + certificate.public_bytes(serialization.Encoding.PEM)).tempfile() as file:
        context.load_cert_chain(file)
    return context


def _alerted(description: int) -> Condition:
    """A server that answers the handshake with a fatal alert (RFC 8446, section 6), as OpenSSL 3 would not by itself."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(bytes([0x15, 3, 1, 0, 2, 2, description]))
        await writer.drain()

    async def condition(stage: Stage, protocol: str) -> Diagnosis | None:
        return (await stage.verify(protocol, Script(greeting=refuse), plain=True)).diagnosis

    return condition


# -- ports


@contextmanager
def _silent_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that no further one is answered."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def _no_answer(stage: Stage, protocol: str) -> Diagnosis | None:
    with _silent_port() as port:
        return (await stage.dial(protocol, port, limits=_HASTY)).diagnosis


async def _blocked(stage: Stage, protocol: str) -> Diagnosis | None:
    """One port is silent while another mail port of the same host answers; mail ports are for root, so another one is named."""
    with _silent_port() as port, socket.create_server(("127.0.0.1", 0)) as sibling:
        siblings = {protocol: (sibling.getsockname()[1],)}
        with patch("berth_connector.probe.dial._SIBLINGS", siblings):
            return (await stage.dial(protocol, port, limits=_HASTY)).diagnosis


async def _closed(stage: Stage, protocol: str) -> Diagnosis | None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return (await stage.dial(protocol, port)).diagnosis


async def _port_of_no_mail(stage: Stage, protocol: str) -> Diagnosis | None:
    return (await stage.dial(protocol, 6379, ports=[25993])).diagnosis


# -- the exchange


async def _no_starttls(stage: Stage, protocol: str) -> Diagnosis | None:
    script = _to(protocol, r" CAPABILITY$", r"^EHLO ", _BARE[protocol])
    return (await stage.verify(protocol, script, security="starttls")).diagnosis


async def _injected(stage: Stage, protocol: str) -> Diagnosis | None:
    script = _to(protocol, r" STARTTLS$", r"^STARTTLS$", (_STARTTLS_AND_MORE[protocol], START_TLS))
    return (await stage.verify(protocol, script, security="starttls")).diagnosis


async def _no_mechanism(stage: Stage, protocol: str) -> Diagnosis | None:
    return (await stage.verify(protocol, _to(protocol, r" CAPABILITY$", r"^EHLO ", _BARE[protocol]))).diagnosis


async def _unsendable(stage: Stage, protocol: str) -> Diagnosis | None:
    return (await stage.verify(protocol, _script(protocol), password="a\0b")).diagnosis


async def _hung_up(stage: Stage, protocol: str) -> Diagnosis | None:
    return (await stage.verify(protocol, _to(protocol, r" CAPABILITY$", r"^EHLO ", CLOSE))).diagnosis


async def _hung_up_at_sign_in(stage: Stage, protocol: str) -> Diagnosis | None:
    return (await stage.verify(protocol, _to(protocol, r" AUTHENTICATE ", r"^AUTH ", CLOSE))).diagnosis


async def _fell_silent(stage: Stage, protocol: str) -> Diagnosis | None:
    script = _to(protocol, r" CAPABILITY$", r"^EHLO ", STAY)
    return (await stage.verify(protocol, script, limits=_HASTY)).diagnosis


async def _talked_nonsense(stage: Stage, protocol: str) -> Diagnosis | None:
    return (await stage.verify(protocol, _to(protocol, r" CAPABILITY$", r"^EHLO ", _GARBAGE[protocol]))).diagnosis


# -- access tokens


def _endpoint(fault: Fault, limits: Limits | None = None) -> Condition:
    """The token endpoint fails so."""

    async def condition(stage: Stage, _protocol: str) -> Diagnosis | None:
        key, secret = stage.microsoft()
        stage.service.identity.fault = fault
        try:
            return await (
                stage.token_diagnosis(key, secret, limits=limits) if limits else stage.token_diagnosis(key, secret)
            )
        finally:
            stage.service.identity.fault = None

    return condition


async def _endpoint_silent(stage: Stage, protocol: str) -> Diagnosis | None:
    with patch("berth_connector.oauth.session._TIMEOUT_S", (0.4, 0.4)):
        return await _endpoint(silent(2))(stage, protocol)


async def _endpoint_gone(stage: Stage, _protocol: str) -> Diagnosis | None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"https://localhost:{free.getsockname()[1]}/token"
    with make_tokens(stage.settings.model_copy(update={"berth_google_token_url": url}), stage.clock) as tokens:
        return await stage.token_diagnosis(*stage.google(), tokens=tokens)


async def _no_key(stage: Stage, _protocol: str) -> Diagnosis | None:
    return await stage.token_diagnosis(stage.google_key(), Credential({"service_account_key": "not JSON"}))


async def _consumer(stage: Stage, _protocol: str) -> Diagnosis | None:
    return await stage.token_diagnosis(*stage.google(), mailbox="ada@gmail.com")


async def _other_scope(stage: Stage, _protocol: str) -> Diagnosis | None:
    scope = "https://www.googleapis.com/auth/gmail.readonly"
    return await stage.token_diagnosis(*stage.google(scopes=(scope,)), mailbox=MAILBOX)


def _application(**changes: Any) -> Condition:
    """The Microsoft workspace has these fields."""

    async def condition(stage: Stage, _protocol: str) -> Diagnosis | None:
        return await stage.token_diagnosis(*stage.microsoft(**changes))

    return condition


def _lacking(role: str) -> Condition:
    """The application has the other role only."""

    async def condition(stage: Stage, _protocol: str) -> Diagnosis | None:
        both = {IMAP_ROLE, SMTP_ROLE}
        return await stage.token_diagnosis(*stage.microsoft(roles=tuple(both - {role})), roles=both)

    return condition


#: By the rule that has to be found: the protocols, and what is brought about.
CONDITIONS: Final[dict[str, tuple[tuple[str, ...], Condition]]] = {
    **{
        rule_id: (("imap", "smtp"), condition)
        for rule_id, condition in {
            "net.dns.not_found": _dialled("missing.test.example"),
            "net.dns.lookup_failed": _dialled("lame.test.example"),
            "net.vet.host_refused": _dialled("metadata.test.example"),
            "net.vet.port_refused": _port_of_no_mail,
            "net.tcp.unreachable": _dialled("unreachable.test.example"),
            "net.tcp.refused": _closed,
            "net.tcp.timeout": _no_answer,
            "net.tcp.port_blocked": _blocked,
            "net.tls.wrong_version": _greeted(b"HTTP/1.1 400 Bad Request\r\n", plain=True),
            "net.tls.timeout": _greeted(STAY, plain=True, limits=_HASTY),
            "net.tls.too_old": _alerted(70),  # protocol_version: it speaks TLS 1.0 alone
            "net.tls.failed": _alerted(40),  # handshake_failure
            "net.tls.cert_name": _certified(_other_name),
            "net.tls.cert_untrusted": _certified(_stranger),
            "net.tls.cert_expired": _certified(_past),
            "net.tls.cert_not_yet_valid": _certified(_future),
            "net.tls.cert_refused": _certified(_of_a_client),
            "net.tls.injection": _injected,
            "net.capability.starttls_missing": _no_starttls,
            "net.greeting.timeout": _greeted(STAY, limits=_HASTY),
            "net.greeting.wrong_protocol": _greeted(b"SSH-2.0-OpenSSH_9.2\r\n"),
            "net.connection.lost": _hung_up,
            "net.auth.connection_lost": _hung_up_at_sign_in,
            "net.auth.mechanism_missing": _no_mechanism,
            "net.auth.unsendable": _unsendable,
            "net.reply.timeout": _fell_silent,
            "net.reply.malformed": _talked_nonsense,
        }.items()
    },
    "net.greeting.pop3_on_imap": (("imap",), _greeted(b"+OK POP3 ready\r\n")),
    "net.greeting.preauth": (("imap",), _greeted(b"* PREAUTH come in\r\n")),
    **{
        rule_id: (("oauth",), condition)
        for rule_id, condition in {
            "net.token.timeout": _endpoint(silent(2), _HASTY),
            "net.token.silent": _endpoint_silent,
            "net.token.unreachable": _endpoint_gone,
            "net.token.busy": _endpoint(busy()),
            "net.token.throttled": _endpoint(throttled(60)),
            "net.token.malformed": _endpoint(garbage()),
            "own.google.key_unusable": _no_key,
            "own.google.consumer_subject": _consumer,
            "own.google.scope_missing": _other_scope,
            "own.microsoft.secret_id": _application(secret=str(uuid4())),
            "own.microsoft.tenant_unusable": _application(tenant_id="a/../b"),
            "own.microsoft.client_unusable": _application(client_id="Berth"),
            "own.microsoft.roles_missing": _application(roles=()),
            "own.microsoft.imap_role_missing": _lacking(IMAP_ROLE),
            "own.microsoft.smtp_role_missing": _lacking(SMTP_ROLE),
        }.items()
    },
}
