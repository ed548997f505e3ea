"""The secrets that sign: made here, kept encrypted, shown once."""

import base64
import secrets
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["SecretBox", "SecretUnreadable", "new_secret", "parse_webhook_key"]

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
#: Standard Webhooks wants 24 to 64.
_SECRET_BYTES: Final = 32


class SecretUnreadable(Exception):
    """A webhook's secret does not open: BERTH_WEBHOOK_KEY is not the one it was stored with. Give that key back, or rotate it."""


def new_secret() -> str:
    """A secret of 256 random bits, as the specification writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def parse_webhook_key(text: str) -> bytes:
    """The key of BERTH_WEBHOOK_KEY.

    Raises:
        ValueError: not 32 bytes in base64.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError("not 32 bytes in base64. Make one with `openssl rand -base64 32`.")
    return key


class SecretBox:
    """Encrypts secrets for the table, each bound to its row: one that is copied to another row does not open.

    Args:
        key: 32 bytes, the same in all replicas.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, webhook_id: UUID, secret_id: UUID, secret: str) -> bytes:
        """As it is stored: a nonce, and behind it what AES-256-GCM made."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), webhook_id.bytes + secret_id.bytes)

    def open(self, webhook_id: UUID, secret_id: UUID, sealed: bytes) -> str:
        """The secret.

        Raises:
            SecretUnreadable: stored with another key, or for another row.
        """
        nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, content, webhook_id.bytes + secret_id.bytes).decode()
        except InvalidTag as error:
            raise SecretUnreadable from error
