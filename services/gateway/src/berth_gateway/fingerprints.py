"""Fingerprints of requests that hold secrets: equal requests have equal ones, and without the key they tell nothing."""

import hashlib
import hmac
import json
from typing import Any

__all__ = ["Fingerprints"]


class Fingerprints:
    """HMAC-SHA-256 under a key of the service. A plain hash would let who reads the table try out passwords.

    Args:
        key: at least 16 bytes, the same in all replicas.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, content: Any) -> bytes:
        """The fingerprint of a JSON value, whatever the order of its keys."""
        document = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hmac.new(self._key, document.encode(), hashlib.sha256).digest()
