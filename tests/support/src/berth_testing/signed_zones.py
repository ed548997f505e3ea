"""Zones signed with keys of the tests, well or badly."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import dns.dnssec
import dns.name
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from dns.dnssectypes import Algorithm, DSDigest
from dns.rdtypes.ANY.DNSKEY import DNSKEY

__all__ = ["Signer", "signer"]


@dataclass(frozen=True, slots=True)
class Signer:
    """One key that signs keys and records of a zone.

    Attributes:
        key: Its public half.
    """

    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    key: DNSKEY

    def ds(self, zone: str, digest: str = "SHA256") -> str:
        """The DS record that the parent has to publish."""
        return dns.dnssec.make_ds(dns.name.from_text(zone), self.key, DSDigest[digest]).to_text()

    def sign(self, zone: str, text: str, now: datetime, *, lasts: timedelta) -> str:
        """The zone file with keys and signatures, which end so long after now."""
        read = dns.zone.from_text(text, origin=dns.name.from_text(zone))
        begin = now - timedelta(days=30)
        dns.dnssec.sign_zone(
            read,
            keys=[(self.private, self.key)],
            inception=begin,
            expiration=now + lasts,
            add_dnskey=True,
            dnskey_ttl=60,
        )
        signed = read.to_text(relativize=False)
        assert isinstance(signed, str)
        return signed


@cache
def signer(name: str, algorithm: str = "ECDSAP256SHA256") -> Signer:
    """The key of this name: ECDSAP256SHA256, or RSASHA1, which must not be used any more."""
    del name
    private = (
        rsa.generate_private_key(65537, 2048)
        if algorithm.startswith("RSA")
        else ec.generate_private_key(ec.SECP256R1())
    )
    key = dns.dnssec.make_dnskey(private.public_key(), Algorithm[algorithm], flags=257)
    assert isinstance(key, DNSKEY)
    return Signer(private, key)
