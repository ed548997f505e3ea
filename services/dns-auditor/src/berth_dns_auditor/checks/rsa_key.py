"""The size of an RSA public key from its DER form, without judging whether the key is a good one."""

from typing import Final

__all__ = ["MalformedKey", "rsa_bits"]

_INTEGER: Final = 0x02
_BIT_STRING: Final = 0x03
_SEQUENCE: Final = 0x30
#: OBJECT IDENTIFIER 1.2.840.113549.1.1.1, rsaEncryption (RFC 8017 appendix C).
_RSA_ENCRYPTION: Final = bytes.fromhex("06092a864886f70d010101")


class MalformedKey(ValueError):
    """The bytes are not the DER form of an RSA public key. Publish the key again as the mail provider shows it."""


def rsa_bits(der: bytes) -> int:
    """The bits of the modulus of a SubjectPublicKeyInfo (RFC 5280 §4.1) or an RSAPublicKey (RFC 8017 §A.1.1).

    Raises:
        MalformedKey: it is neither, or is cut short, or something follows it.
    """
    body = _only(der, _SEQUENCE)
    if body[:1] == bytes([_SEQUENCE]):
        algorithm, rest = _take(body, _SEQUENCE)
        if not algorithm.startswith(_RSA_ENCRYPTION):
            raise MalformedKey("the key is not an RSA key")
        bits = _only(rest, _BIT_STRING)
        if bits[:1] != b"\0":
            raise MalformedKey("the key does not fill whole bytes")
        body = _only(bits[1:], _SEQUENCE)
    modulus, rest = _take(body, _INTEGER)
    exponent = _only(rest, _INTEGER)
    if not modulus or modulus[0] & 0x80 or not any(modulus) or not any(exponent):
        raise MalformedKey("the modulus or the exponent is not a positive number")
    return int.from_bytes(modulus, "big").bit_length()


def _take(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the element at the start, and what follows it."""
    if len(der) < 2 or der[0] != tag:  # noqa: PLR2004 - a tag and a length
        raise MalformedKey("another structure than that of an RSA public key")
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    if start + length > len(der):
        raise MalformedKey("the key is cut short")
    return der[start : start + length], der[start + length :]


def _only(der: bytes, tag: int) -> bytes:
    content, rest = _take(der, tag)
    if rest:
        raise MalformedKey("something follows the key")
    return content
