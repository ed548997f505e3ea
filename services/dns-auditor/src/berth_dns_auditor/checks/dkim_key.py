"""One DKIM key record (RFC 6376 §3.6.1): whether it verifies mail, and what is wrong with it. Pure."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from berth_dns_auditor.checks.rsa_key import MalformedKey, rsa_bits
from berth_dns_auditor.checks.tag_list import Fault, TagList, parse_tags

__all__ = ["DkimKey", "parse_dkim"]

RSA_BITS_MIN: Final = 1024
RSA_BITS_WANTED: Final = 2048
ED25519_BYTES: Final = 32

#: Faults with which the key still verifies mail.
_HARMLESS: Final = frozenset({"DKIM_KEY_WEAK", "DKIM_TESTING_MODE", "DKIM_OBSOLETE_TAG"})


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A key record as it was read.

    Attributes:
        kind: The key type; `other` when it is not known.
        revoked: Whether `p` is empty.
        faults: Everything that is wrong with it.
    """

    kind: Literal["rsa", "ed25519", "other"]
    revoked: bool
    faults: tuple[Fault, ...]

    @property
    def usable(self) -> bool:
        """Whether receivers can verify mail with it."""
        return not self.revoked and all(fault.code in _HARMLESS for fault in self.faults)


def parse_dkim(text: str) -> DkimKey:
    """Read the joined text of a key record. Never raises: what is wrong is in `faults`."""
    tags = parse_tags(text)
    kind = (tags.get("k") or "rsa").lower()
    key = tags.get("p")
    faults = [*_list_faults(tags), *_use_faults(tags)]
    if kind not in {"rsa", "ed25519"}:
        faults.append(Fault("DKIM_UNKNOWN_KEY_TYPE", f"k={kind}"))
    elif key:
        faults += _key_faults(kind, key)
    if key is None:
        faults.append(Fault("DKIM_KEY_UNPARSEABLE", "no p tag"))
    return DkimKey("rsa" if kind == "rsa" else "ed25519" if kind == "ed25519" else "other", key == "", tuple(faults))


def _list_faults(tags: TagList) -> Iterator[Fault]:
    if tags.broken:
        yield Fault("DKIM_KEY_UNPARSEABLE", f"not tag=value: {tags.broken[0]}")
    version = tags.get("v")
    if version is not None and (version != "DKIM1" or tags.tags[0].name != "v"):
        yield Fault("DKIM_BAD_VERSION", f"v={version}, first tag {tags.tags[0].name}")
    for name in tags.duplicates:
        yield Fault("DKIM_DUPLICATE_TAG", name)
    if tags.get("g") is not None:
        yield Fault("DKIM_OBSOLETE_TAG", f"g={tags.get('g')}")


def _use_faults(tags: TagList) -> Iterator[Fault]:
    hashes = _colon_list(tags, "h")
    if hashes and "sha256" not in hashes:
        yield Fault("DKIM_SHA1_ONLY", f"h={tags.get('h')}")
    services = _colon_list(tags, "s")
    if services and not services & {"*", "email"}:
        yield Fault("DKIM_SERVICE_NOT_EMAIL", f"s={tags.get('s')}")
    if "y" in _colon_list(tags, "t"):
        yield Fault("DKIM_TESTING_MODE", f"t={tags.get('t')}")


def _colon_list(tags: TagList, name: str) -> set[str]:
    return {item.strip(" \t\r\n").lower() for item in (tags.get(name) or "").split(":")} - {""}


def _key_faults(kind: str, key: str) -> Iterator[Fault]:
    try:
        der = base64.b64decode("".join(key.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        yield Fault("DKIM_KEY_UNPARSEABLE", f"p is not base64: {error}")
        return
    if kind == "ed25519":
        if len(der) != ED25519_BYTES:
            yield Fault("DKIM_ED25519_BAD_LENGTH", f"{len(der)} bytes")
        return
    try:
        bits = rsa_bits(der)
    except MalformedKey as error:
        yield Fault("DKIM_KEY_UNPARSEABLE", str(error))
        return
    if bits < RSA_BITS_MIN:
        yield Fault("DKIM_KEY_TOO_SHORT", f"{bits} bits")
    elif bits < RSA_BITS_WANTED:
        yield Fault("DKIM_KEY_WEAK", f"{bits} bits")
