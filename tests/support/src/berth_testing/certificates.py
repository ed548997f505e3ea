"""The certificates of the mail servers: good ones, and one for each way in which a certificate is wrong."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import trustme

__all__ = ["HOSTS", "issue_certificates"]

#: The name and the loopback address of each mail host; each address shows a certificate of its own.
#: `remote` is a second good one: Dovecot counts a client at its own address 127.0.0.1 as secured, so that only on another
#: address LOGINDISABLED appears before TLS.
HOSTS: Final = {
    "mail.test.example": "127.0.0.1",
    "remote.test.example": "127.0.0.2",
    "wronghost.test.example": "127.0.0.3",
    "expired.test.example": "127.0.0.4",
    "untrusted.test.example": "127.0.0.5",
    "rsa.test.example": "127.0.0.6",
}


def issue_certificates(directory: Path) -> Path:
    """Write NAME.crt and NAME.key: `good` for mail and remote, and those that are named after their host.

    Returns:
        The file with the authority that issued all but `untrusted`.
    """
    ecdsa, rsa = trustme.KeyType.ECDSA, trustme.KeyType.RSA
    authority, stranger = trustme.CA(key_type=ecdsa), trustme.CA(key_type=ecdsa)
    began, ended = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    certificates = {
        "good": authority.issue_cert("mail.test.example", "remote.test.example", "localhost", key_type=ecdsa),
        "wronghost": authority.issue_cert("other.test.example", key_type=ecdsa),
        "expired": authority.issue_cert("expired.test.example", key_type=ecdsa, not_before=began, not_after=ended),
        "untrusted": stranger.issue_cert("untrusted.test.example", key_type=ecdsa),
        "rsa": authority.issue_cert("rsa.test.example", key_type=rsa),
    }
    directory.mkdir()
    for name, certificate in certificates.items():
        certificate.private_key_pem.write_to_path(directory / f"{name}.key")
        (directory / f"{name}.crt").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    authority.cert_pem.write_to_path(directory / "ca.pem")
    return directory / "ca.pem"
