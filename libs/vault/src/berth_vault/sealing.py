"""HPKE (RFC 9180) around a credential, bound to its row.

A sealed credential is `format (1 byte) | length of key id (1) | key id | encapsulated key (32) | ciphertext and tag`.
The plaintext is padded to a multiple of 64 bytes, so that the length of a password does not show.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from berth_vault import credential as credentials
from berth_vault.credential import Credential
from berth_vault.keys import InvalidKey, check_key_id, parse_private_keys, parse_public_key

__all__ = ["Binding", "CannotOpen", "CredentialTooLarge", "Opener", "Sealer", "key_id_of"]

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_CONTEXT: Final = "berth credential"
_FORMAT: Final = 1
_BLOCK: Final = 64
_LENGTH_BYTES: Final = 2
_LARGEST: Final = 2 ** (8 * _LENGTH_BYTES) - 1


class CannotOpen(Exception):
    """The sealed credential is another row's, altered, or its key is gone. Restore the key or send the credential again."""


class CredentialTooLarge(ValueError):
    """The secrets of the credential exceed 65,535 bytes together. Send what the mail server asks for and no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The row that a sealed credential belongs to; under any other it does not open.

    Attributes:
        organization_id: the tenant.
        owner_id: the account or the email workspace that uses the credential.
        credential_id: `CredentialRef.credential_id` of the events.
        version: `CredentialRef.version` of the events.
    """

    organization_id: UUID
    owner_id: UUID
    credential_id: UUID
    version: int

    def info(self) -> bytes:
        """HPKE's `info`: enters the key schedule, so that another row derives another key."""
        ids = (self.organization_id, self.owner_id, self.credential_id)
        return json.dumps([_CONTEXT, _FORMAT, *map(str, ids), self.version], separators=(",", ":")).encode()


class Sealer:
    """Seals and cannot open: what the gateway holds.

    Args:
        public_key: of the connector.
        key_id: names the key pair in front of each ciphertext.

    Raises:
        InvalidKey: the id is malformed, or nothing can be sealed to the key.
    """

    def __init__(self, public_key: X25519PublicKey, key_id: str) -> None:
        self.key_id = check_key_id(key_id)
        self._public_key = public_key
        try:
            _SUITE.encrypt(b"", public_key)
        except ValueError:
            raise InvalidKey(f"key {key_id}: a degenerate public key; generate a new pair") from None

    @classmethod
    def from_text(cls, text: str) -> Self:
        """From BERTH_VAULT_PUBLIC_KEY, `k1:BASE64`."""
        key_id, public_key = parse_public_key(text)
        return cls(public_key, key_id)

    def seal(self, credential: Credential, binding: Binding) -> bytes:
        """Seal for one row.

        Raises:
            CredentialTooLarge: it has more than 65,535 bytes.
        """
        ciphertext = _SUITE.encrypt(_pad(credentials.encode(credential)), self._public_key, info=binding.info())
        key_id = self.key_id.encode()
        return bytes((_FORMAT, len(key_id))) + key_id + ciphertext


class Opener:
    """Opens: what the connector holds.

    Args:
        private_keys: by key id, the newest last; the newest seals anew what the older ones sealed.

    Raises:
        InvalidKey: there is no key, or an id is malformed.
    """

    def __init__(self, private_keys: Mapping[str, X25519PrivateKey]) -> None:
        if not private_keys:
            raise InvalidKey("no private key; give at least one as ID:BASE64")
        self._private_keys = {check_key_id(key_id): key for key_id, key in private_keys.items()}

    @classmethod
    def from_text(cls, text: str) -> Self:
        """From BERTH_VAULT_PRIVATE_KEYS, `k1:BASE64,k2:BASE64` with the newest last."""
        return cls(parse_private_keys(text))

    def newest_sealer(self) -> Sealer:
        """Seals to the newest of the keys."""
        key_id, key = next(reversed(self._private_keys.items()))
        return Sealer(key.public_key(), key_id)

    def open(self, sealed: bytes, binding: Binding) -> Credential:
        """Open what was sealed for this row.

        Raises:
            CannotOpen: another row's, altered, of an unknown format, or its key is not among ours.
        """
        where = f"credential {binding.credential_id} version {binding.version}"
        key_id = key_id_of(sealed)
        if key_id is None:
            raise CannotOpen(f"{where} has a format this release does not know; run the newest release")
        if key_id not in self._private_keys:
            raise CannotOpen(f"{where} was sealed with key {key_id}; add it to BERTH_VAULT_PRIVATE_KEYS")
        ciphertext = sealed[2 + len(key_id) :]
        try:
            padded = _SUITE.decrypt(ciphertext, self._private_keys[key_id], info=binding.info())
        except InvalidTag:
            raise CannotOpen(f"{where} was altered or belongs to another row; send the credential again") from None
        return credentials.decode(_unpad(padded))


def key_id_of(sealed: bytes) -> str | None:
    """The id of the key that it was sealed with; None when the format is not known."""
    if len(sealed) < 2 or sealed[0] != _FORMAT or len(sealed) < 2 + sealed[1]:  # noqa: PLR2004 - the two bytes before the id
        return None
    raw = sealed[2 : 2 + sealed[1]]
    return raw.decode() if raw.isascii() else None


def _pad(document: bytes) -> bytes:
    if len(document) > _LARGEST:
        raise CredentialTooLarge(f"the secrets have {len(document)} bytes, {_LARGEST} are allowed; send less")
    framed = len(document).to_bytes(_LENGTH_BYTES) + document
    return framed + bytes(-len(framed) % _BLOCK)


def _unpad(padded: bytes) -> bytes:
    # authentic when it gets here: only a sealer of ours can have written the length
    length = int.from_bytes(padded[:_LENGTH_BYTES])
    return padded[_LENGTH_BYTES : _LENGTH_BYTES + length]
