"""Key records: RFC 6376 §3.6.1, RFC 8301, RFC 8463."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from berth_dns_auditor.checks.dkim_key import DkimKey, parse_dkim
from berth_dns_auditor.checks.rsa_key import MalformedKey, rsa_bits


def der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def integer(value: int) -> bytes:
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def spki(bits: int) -> bytes:
    """A SubjectPublicKeyInfo with a modulus of so many bits."""
    key = der(0x30, integer((1 << (bits - 1)) | 1) + integer(65537))
    algorithm = der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    return der(0x30, algorithm + der(0x03, b"\0" + key))


def record(key: bytes, tags: str = "v=DKIM1; k=rsa") -> str:
    return f"{tags}; p={base64.b64encode(key).decode()}"


def codes(key: DkimKey) -> list[str]:
    return [fault.code for fault in key.faults]


GOOD = record(spki(2048))
ED25519 = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


@pytest.mark.parametrize("form", [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1])
def test_real_keys_in_both_forms(form: PublicFormat) -> None:
    key = rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.DER, form)

    assert rsa_bits(key) == 2048
    assert parse_dkim(record(key)) == DkimKey("rsa", revoked=False, faults=())


@pytest.mark.parametrize("bits", [512, 1023, 1024, 2047, 2048, 4096])
def test_the_size_of_the_modulus(bits: int) -> None:
    assert rsa_bits(spki(bits)) == bits


@given(st.binary(max_size=80))
def test_no_bytes_crash_the_der_reader(data: bytes) -> None:
    with pytest.raises(MalformedKey):
        rsa_bits(data)


@given(st.integers(0, 293), st.integers(0, 255))
def test_a_damaged_key_is_refused_or_read(position: int, byte: int) -> None:
    damaged = bytearray(spki(2048))
    damaged[position] = byte
    try:
        assert rsa_bits(bytes(damaged)) > 0
    except MalformedKey:
        assert bytes(damaged) != spki(2048)


@pytest.mark.parametrize(
    ("text", "faults", "usable"),
    [
        (GOOD, [], True),
        (GOOD.replace("v=DKIM1; ", "").replace("k=rsa; ", ""), [], True),
        (GOOD.replace("v=DKIM1; ", "n=a note; ") + "; s=email:other; h=sha1 : sha256; t=s", [], True),
        (GOOD[:100] + "  \t" + GOOD[100:], [], True),
        (GOOD + "; t=y:s", ["DKIM_TESTING_MODE"], True),
        (GOOD + "; g=*", ["DKIM_OBSOLETE_TAG"], True),
        (record(spki(1024)), ["DKIM_KEY_WEAK"], True),
        (record(spki(1000)), ["DKIM_KEY_TOO_SHORT"], False),
        ("v=DKIM1; p=", [], False),
        ("v=DKIM1; k=rsa", ["DKIM_KEY_UNPARSEABLE"], False),
        ("v=DKIM1; p=!!!!", ["DKIM_KEY_UNPARSEABLE"], False),
        (GOOD[:-40], ["DKIM_KEY_UNPARSEABLE"], False),
        ('"' + GOOD + '"', ["DKIM_KEY_UNPARSEABLE", "DKIM_KEY_UNPARSEABLE"], False),
        (GOOD.replace("DKIM1", "DKIM2"), ["DKIM_BAD_VERSION"], False),
        (GOOD.replace("v=DKIM1; ", "") + "; v=DKIM1", ["DKIM_BAD_VERSION"], False),
        (GOOD + "; k=rsa", ["DKIM_DUPLICATE_TAG"], False),
        (GOOD + "; h=sha1", ["DKIM_SHA1_ONLY"], False),
        (GOOD + "; s=tlsrpt", ["DKIM_SERVICE_NOT_EMAIL"], False),
        (record(b"x", "v=DKIM1; k=dsa"), ["DKIM_UNKNOWN_KEY_TYPE"], False),
        (record(ED25519, "v=DKIM1; k=ed25519"), [], True),
        (record(b"\x30" + ED25519, "v=DKIM1; k=ed25519"), ["DKIM_ED25519_BAD_LENGTH"], False),
    ],
)
def test_records(text: str, faults: list[str], usable: bool) -> None:
    key = parse_dkim(text)

    assert (codes(key), key.usable) == (faults, usable)


def test_an_empty_key_is_revoked() -> None:
    assert parse_dkim("v=DKIM1; p=").revoked
    assert not parse_dkim("v=DKIM1").revoked


@given(st.text(st.characters(max_codepoint=255), max_size=100))
def test_no_text_crashes_the_parser_or_passes_for_a_key(text: str) -> None:
    assert not parse_dkim(text).usable
