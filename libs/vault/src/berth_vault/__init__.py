"""Sealing and opening of mailbox credentials.

The gateway seals with a public key (`Sealer`, `VaultWriter`) and cannot read back; only the connector holds the private
keys (`Opener`, `VaultReader`). A sealed credential opens in its own row and nowhere else (`Binding`).
"""

from berth_vault.credential import Credential, MissingSecret, SecretName, UnusableSecret
from berth_vault.keys import InvalidKey, KeyPair, generate_key, parse_private_keys, parse_public_key
from berth_vault.rotation import Rotation, rotate
from berth_vault.schema import schema_sql
from berth_vault.sealing import Binding, CannotOpen, CredentialTooLarge, Opener, Sealer
from berth_vault.table import Connection, CredentialErased, Sealed, VaultReader, VaultWriter

__all__ = [
    "Binding",
    "CannotOpen",
    "Connection",
    "Credential",
    "CredentialErased",
    "CredentialTooLarge",
    "InvalidKey",
    "KeyPair",
    "MissingSecret",
    "Opener",
    "Rotation",
    "Sealed",
    "Sealer",
    "SecretName",
    "UnusableSecret",
    "VaultReader",
    "VaultWriter",
    "generate_key",
    "parse_private_keys",
    "parse_public_key",
    "rotate",
    "schema_sql",
]
