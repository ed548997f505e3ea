"""DNS messages by chance: sound ones with all that RFC 1035 allows, and the same after an accident."""

import struct
from random import Random
from typing import Final

__all__ = ["damaged", "sound_message"]

_A, _NS, _CNAME, _SOA, _PTR, _MX, _TXT, _AAAA, _DS, _TLSA, _OPT = 1, 2, 5, 6, 12, 15, 16, 28, 43, 52, 41
_LABELS: Final = (
    b"example",
    b"Mail",
    b"mx",
    b"_dmarc",
    b"a.b",
    b"back\\slash",
    b"\0\xff",
    b"x" * 63,
    b"com",
    b"ORG",
    b"2",
)


class _Writer:
    """Writes a message, and compresses names at random."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.message = bytearray(12)
        self._known: dict[tuple[bytes, ...], int] = {}

    def name(self, labels: tuple[bytes, ...]) -> None:
        for index in range(len(labels)):
            suffix = labels[index:]
            if suffix in self._known and self._rng.random() < 0.8:
                self.message += struct.pack(">H", 0xC000 | self._known[suffix])
                return
            if len(self.message) < 0x4000:
                self._known[suffix] = len(self.message)
            self.message += bytes((len(labels[index]),)) + labels[index]
        self.message.append(0)

    def record(self, owner: tuple[bytes, ...], rdtype: int, ttl: int) -> None:
        self.name(owner)
        self.message += struct.pack(">HHIH", rdtype, 1, ttl, 0)
        start = len(self.message)
        self.rdata(rdtype)
        self.message[start - 2 : start] = struct.pack(">H", len(self.message) - start)

    def rdata(self, rdtype: int) -> None:
        rng = self._rng
        match rdtype:
            case 1:
                self.message += rng.randbytes(4)
            case 28:
                self.message += bytes(12) + rng.randbytes(4) if rng.random() < 0.2 else rng.randbytes(16)
            case 2 | 5 | 12:
                self.name(_name(rng))
            case 15:
                self.message += rng.randbytes(2)
                self.name(() if rng.random() < 0.1 else _name(rng))
            case 6:
                self.name(_name(rng))
                self.name(_name(rng))
                self.message += rng.randbytes(20)
            case 16:
                for _ in range(rng.randint(1, 4)):
                    text = rng.randbytes(rng.choice((0, 1, 5, 255)))
                    self.message += bytes((len(text),)) + text
            case 43:
                digest = rng.choice(((1, 20), (2, 32), (4, 48), (2, 31), (9, 40)))
                self.message += struct.pack(">HBB", rng.getrandbits(16), 13, digest[0]) + rng.randbytes(digest[1])
            case 52:
                self.message += rng.randbytes(3) + rng.randbytes(rng.choice((0, 1, 32, 64, 200)))


def _name(rng: Random) -> tuple[bytes, ...]:
    return tuple(rng.choice(_LABELS) for _ in range(rng.randint(1, 3)))


def sound_message(rng: Random) -> tuple[tuple[bytes, ...], int, bytes]:
    """The labels that were asked for, the type, and a message that answers, with aliases, without records, or with an error."""
    asked, rdtype = _name(rng), rng.choice((_A, _NS, _CNAME, _SOA, _PTR, _MX, _TXT, _AAAA, _DS, _TLSA))
    writer = _Writer(rng)
    writer.name(asked)
    writer.message += struct.pack(">HH", rdtype, 1)
    owner, answers, authorities, additional = asked, 0, 0, 0
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        target = _name(rng)
        writer.name(owner)
        writer.message += struct.pack(">HHIH", _CNAME, 1, rng.randint(0, 600), 0)
        start = len(writer.message)
        writer.name(target)
        writer.message[start - 2 : start] = struct.pack(">H", len(writer.message) - start)
        owner, answers = target, answers + 1
    rcode = rng.choice((0, 0, 0, 0, 3, 2, 5))
    for _ in range(0 if rcode else rng.choice((0, 1)) if rdtype in {_CNAME, _SOA} else rng.choice((0, 1, 1, 2, 5))):
        writer.record(owner if rng.random() < 0.9 else _name(rng), rdtype, rng.choice((0, 60, 3600, 0xFFFF_FFFF)))
        answers += 1
    for kind in rng.choice(((), (), (_SOA,), (_NS,), (_NS, _NS), (_NS, _SOA), (_SOA,), (_NS, _NS, _SOA), (_SOA, _SOA))):
        zone = owner[rng.randint(0, len(owner)) :] if rng.random() < 0.8 else _name(rng)
        writer.record(zone, kind, rng.randint(0, 7200))
        authorities += 1
    for _ in range(rng.choice((0, 1, 3))):
        writer.record(_name(rng), rng.choice((_A, _AAAA)), 60)
        additional += 1
    if rng.random() < 0.5:
        writer.message += b"\0" + struct.pack(">HHIH", _OPT, 1232, rng.choice((0, 0, 0, 1 << 24)), 0)
        additional += 1
    flags = 0x8180 | rng.choice((0, 0x20)) | rcode
    struct.pack_into(">HHHHHH", writer.message, 0, rng.getrandbits(16), flags, 1, answers, authorities, additional)
    return asked, rdtype, bytes(writer.message)


def damaged(rng: Random, message: bytes) -> bytes:
    """The message with some bytes changed, cut out, repeated, or made into pointers."""
    wire = bytearray(message)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(wire)) if wire else 0
        match rng.randrange(6):
            case 0 if wire:
                wire[place] ^= 1 << rng.randrange(8)
            case 1 if wire:
                wire[place] = rng.getrandbits(8)
            case 2:
                del wire[place : place + rng.randint(1, 20)]
            case 3:
                wire[place:place] = wire[place : place + rng.randint(1, 40)]
            case 4:
                wire[place : place + 2] = struct.pack(">H", 0xC000 | rng.randrange(len(wire) + 4))
            case _:
                del wire[place:]
    return bytes(wire)
