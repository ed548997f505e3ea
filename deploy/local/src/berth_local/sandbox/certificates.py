"""Certificates of the mail hosts: one authority that Berth is told to trust, and a stranger."""

import ssl
from pathlib import Path

import trustme

__all__ = ["Certificates"]


class Certificates:
    """Issues certificates. The trusted authority stays the same from start to start."""

    def __init__(self, directory: Path) -> None:
        """Load the authority from the directory, or create it there."""
        self.authority_file = directory / "authority.pem"
        key_file = directory / "authority.key"
        if self.authority_file.exists() and key_file.exists():
            self._authority = trustme.CA.from_pem(self.authority_file.read_bytes(), key_file.read_bytes())
        else:
            self._authority = trustme.CA(organization_name="Berth sandbox")
            key_file.touch(mode=0o600)
            self._authority.private_key_pem.write_to_path(key_file)
            self._authority.cert_pem.write_to_path(self.authority_file)
        self._stranger = trustme.CA(organization_name="An authority nobody knows")

    def server_context(self, *names: str, trusted: bool) -> ssl.SSLContext:
        """A server's context with a new certificate for its host names."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        (self._authority if trusted else self._stranger).issue_cert(*names).configure_cert(context)
        return context
