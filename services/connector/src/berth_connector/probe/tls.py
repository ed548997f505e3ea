"""TLS contexts, sessions to resume, and what a certificate says of itself."""

import ssl
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from cryptography.x509 import Name

__all__ = ["Sessions", "certificate_text", "client_context", "connection_text", "unverified_context"]

_MAX_NAMES: Final = 8
_COMMON_NAME: Final = "2.5.4.3"
#: What of an issuer's name says who it is.
_ISSUER: Final = frozenset({"organizationName", "commonName"})
#: A certificate that was taken is trusted for so long without being shown again.
_RESUMED_S: Final = 300.0
_SESSIONS: Final = 512


@dataclass(frozen=True, slots=True)
class _Kept:
    session: ssl.SSLSession
    text: str
    until: float


class Sessions:
    """TLS sessions of hosts whose certificate was verified a short time ago (RFC 8446, section 2.2).

    To resume one saves both sides the certificate: whoever can resume it is who has shown that. A bulk import asks the same
    host again and again. Of most hosts nobody asks twice: only the last ones are kept.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], _Kept] = OrderedDict()

    def find(self, host: str, port: int, now: float) -> ssl.SSLSession | None:
        """The session of a host, by the event loop's time in seconds."""
        kept = self._kept.get((host, port))
        return kept.session if kept and now < kept.until else None

    def keep(self, host: str, port: int, now: float, tls: ssl.SSLObject) -> None:
        """Remember the session of a connection on which the server has spoken: with TLS 1.3 its tickets come then.

        Not of a resumed one, which has shown no certificate: the time would never be over.
        """
        session = tls.session
        if session is not None and session.has_ticket and not tls.session_reused:
            self._kept[host, port] = _Kept(session, connection_text(tls), now + _RESUMED_S)
            self._kept.move_to_end((host, port))
            if len(self._kept) > _SESSIONS:
                self._kept.popitem(last=False)

    def text(self, host: str, port: int, tls: ssl.SSLObject) -> str:
        """What `connection_text` says; of a resumed session it is known."""
        kept = self._kept.get((host, port)) if tls.session_reused else None
        return kept.text if kept else connection_text(tls)

    def forget(self, host: str, port: int) -> None:
        """The next connection shows its certificate."""
        self._kept.pop((host, port), None)


def client_context(extra_ca: Path | None = None) -> ssl.SSLContext:
    """The context for every mail server: the system's authorities, TLS 1.2 or later, names checked.

    Building one takes 20 ms: make one per process. It is not to be shared with HTTP clients, which set ALPN on it.

    Args:
        extra_ca: a PEM file of further authorities, for servers with certificates of a private one.

    Raises:
        OSError: the file cannot be read, or is not PEM.
    """
    context = ssl.create_default_context()
    if extra_ca is not None:
        context.load_verify_locations(cafile=extra_ca)
    return context


def unverified_context() -> ssl.SSLContext:
    """A context that takes any certificate: only to read one that was refused. Nothing is ever sent over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connection_text(tls: ssl.SSLObject) -> str:
    """Version, and names, issuer and end of the certificate that was verified, in a sentence each."""
    certificate = cast("dict[str, Any]", tls.getpeercert() or {})
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}]
    issuer = ", ".join(value for part in certificate.get("issuer", ()) for kind, value in part if kind in _ISSUER)
    ends = _day(certificate.get("notAfter", "an unknown day"))
    return (
        f"{tls.version()}. The certificate is for {_some(names)}, issued by {issuer or 'nobody'}, valid until {ends}."
    )


def certificate_text(der: bytes) -> str:
    """Names, issuer and validity of a certificate, in a sentence.

    Raises:
        ValueError: not a certificate.
    """
    from cryptography import x509  # noqa: PLC0415 - 7 MB, that only a refused certificate needs

    certificate = x509.load_der_x509_certificate(der)
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [
            *alternatives.get_values_for_type(x509.DNSName),
            *map(str, alternatives.get_values_for_type(x509.IPAddress)),
        ]
    except x509.ExtensionNotFound:
        names = _common_names(certificate.subject)
    issuer = ", ".join(_common_names(certificate.issuer)) or certificate.issuer.rfc4514_string()
    return (
        f"The certificate is for {_some(names)}, issued by {issuer or 'nobody'}, valid from "
        f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}."
    )


def _common_names(name: "Name") -> list[str]:
    return [str(attribute.value) for attribute in name if attribute.oid.dotted_string == _COMMON_NAME]


def _some(names: Sequence[str]) -> str:
    return (", ".join(names[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")) or "no name"


def _day(time: str) -> str:
    try:
        return f"{datetime.fromtimestamp(ssl.cert_time_to_seconds(time), UTC):%Y-%m-%d}"
    except (ValueError, OverflowError):
        return time  # it was good enough for OpenSSL
