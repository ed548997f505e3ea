"""A DNS of as many domains as one likes, of which some have no answer: it makes answers instead of keeping them.

`d7.example` is in good order, except that each twentieth domain is silent, the next one fails, and the next is lame.
"""

import contextlib
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Final, Literal

from berth_testing.zones import DKIM_PUBLIC_KEY

__all__ = ["Kind", "bulk_dns", "kind_of", "mail_address"]

Kind = Literal["healthy", "silent", "failing", "lame"]

_A, _PTR, _MX, _TXT = 1, 12, 15, 16
_NXDOMAIN, _SERVFAIL, _REFUSED = 3, 2, 5
_KINDS: Final[dict[int, Kind]] = {0: "silent", 1: "failing", 2: "lame"}
_SOA: Final = b"\7example\0" + struct.pack(">HHIH", 6, 1, 300, 22) + b"\0\0" + struct.pack(">IIIII", 1, 2, 3, 4, 300)
_REFERRAL: Final = b"\0" + struct.pack(">HHIH", 2, 1, 300, 4) + b"\2ns\0"


def kind_of(number: int) -> Kind:
    """What the name servers of a domain do."""
    return _KINDS.get(number % 20, "healthy")


def mail_address(number: int) -> str:
    """The address of the mail server of a domain."""
    return f"8.{number >> 16}.{number >> 8 & 255}.{number & 255}"


@contextlib.contextmanager
def bulk_dns() -> Iterator[int]:
    """The port of 127.0.0.1 where the server listens, in a process of its own."""
    with subprocess.Popen([sys.executable, "-m", "berth_testing.bulk_dns"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _serve() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        server.bind(("127.0.0.1", 0))
        print(server.getsockname()[1], flush=True)  # noqa: T201 - for the parent
        while True:
            question, address = server.recvfrom(1500)
            for reply in _replies(question):
                server.sendto(reply, address)


def _replies(question: bytes) -> Iterator[bytes]:
    end = question.index(b"\0", 12)
    labels = _labels(question[12:end].lower())
    (rdtype,) = struct.unpack_from(">H", question, end + 1)
    section = question[12 : end + 5]

    def reply(rcode: int, answer: bytes = b"", authority: bytes = b"") -> bytes:
        header = question[:2] + struct.pack(">HHHHH", 0x8180 | rcode, 1, bool(answer), bool(authority), 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", rdtype, 1, 300, len(answer)) + answer if answer else b""
        return header + section + record + authority

    number = _number(labels)
    match kind_of(number) if number is not None else "healthy":
        case "silent":
            return
        case "failing":
            yield reply(_SERVFAIL)
        case "lame":  # some servers refuse, others point elsewhere
            yield reply(_REFUSED) if labels[0] == b"_dmarc" else reply(0, authority=_REFERRAL)
        case _:
            answer = _answer(labels, rdtype, number)
            missing = answer is None
            yield reply(_NXDOMAIN if missing else 0, answer or b"", b"" if answer else _SOA)


def _answer(labels: list[bytes], rdtype: int, number: int | None) -> bytes | None:
    """The data of the record; empty if there is none of the type, None if there is no such name."""
    if labels[-1] == b"arpa":
        numbers = [int(label) for label in labels[3::-1]]
        host = numbers[1] << 16 | numbers[2] << 8 | numbers[3]
        return _name(b"mx", b"d%d" % host, b"example") if rdtype == _PTR else b""
    if number is None:
        return None
    names: dict[tuple[bytes, ...], dict[int, bytes]] = {
        (): {_MX: b"\0\x0a\2mx\xc0\x0c", _TXT: _text(b"v=spf1 mx -all")},
        (b"mx",): {_A: bytes(map(int, mail_address(number).split(".")))},
        (b"_dmarc",): {_TXT: _text(b"v=DMARC1; p=reject; rua=mailto:d@" + b".".join(labels[1:]))},
        (b"_domainkey",): {},
        (b"default", b"_domainkey"): {_TXT: _text(b"v=DKIM1; p=" + DKIM_PUBLIC_KEY.encode())},
    }
    records = names.get(tuple(labels[:-2]))
    return None if records is None else records.get(rdtype, b"")


def _labels(name: bytes) -> list[bytes]:
    labels = []
    while name:
        labels.append(name[1 : 1 + name[0]])
        name = name[1 + name[0] :]
    return labels


def _number(labels: list[bytes]) -> int | None:
    """The number of the domain that a name belongs to."""
    with contextlib.suppress(ValueError, IndexError):
        if labels[-1] == b"example" and labels[-2].startswith(b"d"):
            return int(labels[-2][1:])
    return None


def _name(*labels: bytes) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _text(text: bytes) -> bytes:
    return b"".join(bytes((len(part),)) + part for part in (text[at : at + 255] for at in range(0, len(text), 255)))


if __name__ == "__main__":
    _serve()
