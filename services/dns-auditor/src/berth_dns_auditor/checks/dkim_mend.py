"""DKIM key records that mend a finding: the same key, published as the standard wants it. Pure."""

import base64
import binascii
from typing import Final

from berth_dns_auditor.checks.dkim_key import DkimKey, parse_dkim
from berth_dns_auditor.checks.rsa_key import MalformedKey, rsa_bits
from berth_dns_auditor.checks.tag_list import parse_tags

__all__ = ["mended_key"]

#: What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410 §4).
_ED25519_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
ED25519_BYTES: Final = 32

#: What copying from a zone file or a web form leaves around and inside a record.
_DEBRIS: Final = str.maketrans("", "", "\"'\\")


def mended_key(text: str) -> tuple[str, DkimKey] | None:
    """The record with everything put right that does not need another key; None when that changes nothing."""
    tags = {tag.name: tag.value for tag in reversed(parse_tags(text.translate(_DEBRIS)).tags)}
    key = "".join(tags.get("p", "").split())
    kind, key = _typed(tags.get("k", "rsa").lower(), key)
    kept = {"v": "DKIM1", "k": kind}
    flags = [flag for flag in _items(tags.get("t", "")) if flag.lower() != "y"]
    hashes = _items(tags.get("h", ""))
    services = _items(tags.get("s", ""))
    if "sha256" in {item.lower() for item in hashes}:
        kept["h"] = ":".join(hashes)
    if {"email", "*"} & {item.lower() for item in services}:
        kept["s"] = ":".join(services)
    if flags:
        kept["t"] = ":".join(flags)
    if "n" in tags:
        kept["n"] = tags["n"]
    kept["p"] = key
    record = "; ".join(f"{name}={value}" for name, value in kept.items())
    mended = parse_dkim(record)
    return (record, mended) if len(mended.faults) < len(parse_dkim(text).faults) else None


def _items(value: str) -> list[str]:
    return [item for item in (part.strip() for part in value.split(":")) if item]


def _typed(kind: str, key: str) -> tuple[str, str]:
    """The type that the key itself shows, and the key as that type is published."""
    try:
        der = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return kind, key
    if der.startswith(_ED25519_SPKI):
        der = der.removeprefix(_ED25519_SPKI)
    if len(der) == ED25519_BYTES:
        return "ed25519", base64.b64encode(der).decode("ascii")
    try:
        rsa_bits(der)
    except MalformedKey:
        return kind, key
    return "rsa", key
