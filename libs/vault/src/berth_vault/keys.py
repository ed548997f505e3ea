"""Key pairs and their text form in the environment: `ID:BASE64`, several separated by commas, the newest last."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

__all__ = ["InvalidKey", "KeyPair", "check_key_id", "generate_key", "parse_private_keys", "parse_public_key"]

_KEY_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_KEY_BYTES: Final = 32


class InvalidKey(ValueError):
    """A vault key is malformed. Make a pair with `python -m berth_vault generate-key` and copy its lines whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A new key pair in text form.

    Attributes:
        key_id: names the pair.
        public_text: for BERTH_VAULT_PUBLIC_KEY of the gateway.
        private_text: for BERTH_VAULT_PRIVATE_KEYS of the connector; secret.
    """

    key_id: str
    public_text: str
    private_text: str = field(repr=False)


def generate_key(key_id: str | None = None) -> KeyPair:
    """Make an X25519 key pair.

    Args:
        key_id: its name; by default `k` and eight hexadecimal digits of the public key's SHA-256.

    Raises:
        InvalidKey: the id is malformed.
    """
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    name = check_key_id(f"k{hashlib.sha256(public).hexdigest()[:8]}" if key_id is None else key_id)
    return KeyPair(
        key_id=name,
        public_text=f"{name}:{base64.b64encode(public).decode()}",
        private_text=f"{name}:{base64.b64encode(private.private_bytes_raw()).decode()}",
    )


def parse_public_key(text: str) -> tuple[str, X25519PublicKey]:
    """Read `ID:BASE64`.

    Raises:
        InvalidKey: malformed.
    """
    key_id, raw = _parse(text)
    return key_id, X25519PublicKey.from_public_bytes(raw)


def parse_private_keys(text: str) -> dict[str, X25519PrivateKey]:
    """Read `ID:BASE64,ID:BASE64`; the order is kept.

    Raises:
        InvalidKey: malformed, or an id occurs twice. The message names ids and positions, never a key.
    """
    keys: dict[str, X25519PrivateKey] = {}
    for number, part in enumerate(text.split(","), 1):
        key_id, raw = _parse(part, f"key {number}")
        if key_id in keys:
            raise InvalidKey(f"key {key_id} is given twice; give each id once")
        keys[key_id] = X25519PrivateKey.from_private_bytes(raw)
    return keys


def check_key_id(key_id: str) -> str:
    """The id itself, when it is one.

    Raises:
        InvalidKey: it is none. The message does not repeat it: a key pasted without an id would end up in a log.
    """
    if not _KEY_ID.fullmatch(key_id):
        raise InvalidKey("a key id is 1 to 32 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit")
    return key_id


def _parse(text: str, which: str = "the key") -> tuple[str, bytes]:
    key_id, colon, encoded = text.strip().partition(":")
    if not colon:
        raise InvalidKey(f"{which} has no id; write it as ID:BASE64")
    check_key_id(key_id)
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        raise InvalidKey(f"{which} ({key_id}) is not the base64 of {_KEY_BYTES} bytes; copy it whole")
    return key_id, raw
