"""The secrets that are keys: how they are made, and what is stored of them."""

import base64
import hashlib
import hmac
import secrets
from typing import Final

__all__ = ["OperatorKey", "digest", "new_prefix", "new_secret", "prefix_of"]

_PREFIX_BYTES: Final = 5
_SECRET_BYTES: Final = 32
_PREFIX_LENGTH: Final = 8


def new_prefix() -> str:
    """A key's public part, by which it is found: 8 characters, lower case."""
    return base64.b32encode(secrets.token_bytes(_PREFIX_BYTES)).decode().lower()


def new_secret(prefix: str) -> str:
    """A whole key, of 256 random bits behind the prefix."""
    return f"berth_{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def prefix_of(secret: str) -> str:
    """The prefix in a key; empty, which no key has, when this is none of ours."""
    brand, _, rest = secret.partition("_")
    prefix, _, _ = rest.partition("_")
    usable = brand == "berth" and len(prefix) == _PREFIX_LENGTH and prefix.isascii() and prefix.isalnum()
    return prefix if usable else ""


def digest(secret: str) -> bytes:
    """What is stored of a key: SHA-256, because of 256 random bits nothing slower is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class OperatorKey:
    """The operator's key, which manages organizations, projects and keys, and nothing else.

    Args:
        secret: from the environment.
    """

    def __init__(self, secret: str) -> None:
        self._digest = digest(secret)

    def matches(self, presented: str) -> bool:
        """Whether it is the one, in constant time."""
        return hmac.compare_digest(self._digest, digest(presented))
