"""A name server over UDP and TCP that knows one zone file; every other name does not exist."""

import asyncio
import struct
from typing import cast

from dnslib import EDNS0, QTYPE, RCODE, RR, DNSError, DNSLabel, DNSRecord

__all__ = ["Zone", "serve_dns"]

PLAIN_UDP_BYTES = 512
EDNS_BYTES = 1232
IDLE_SECONDS = 10


class Zone:
    """The records that are served."""

    def __init__(self, text: str) -> None:
        """Read a zone file (RFC 1035 section 5), which may hold several zones, each with a SOA."""
        self._records: dict[DNSLabel, list[RR]] = {}
        self._names: set[DNSLabel] = set()  # also those with nothing but names below them (RFC 8020)
        for record in RR.fromZone(text):
            self._records.setdefault(record.rname, []).append(record)
            labels = record.rname.label
            self._names.update(DNSLabel(labels[start:]) for start in range(len(labels) + 1))

    def answer(self, request: DNSRecord) -> DNSRecord:
        """The reply to a query, as a resolver gives it."""
        reply = request.reply(aa=0)
        name = request.q.qname
        wanted = request.q.qtype
        found = [record for record in self._records.get(name, []) if wanted in (record.rtype, QTYPE.ANY)]
        if found:
            reply.add_answer(*found)
        else:
            reply.add_auth(*self._authority(name))
            if name not in self._names:
                reply.header.rcode = RCODE.NXDOMAIN
        if _payload(request) is not None:
            reply.add_ar(EDNS0(udp_len=EDNS_BYTES))
        return reply

    def _authority(self, name: DNSLabel) -> list[RR]:
        """The SOA of the closest zone above, which tells how long to remember that there is nothing (RFC 2308)."""
        labels = name.label
        for start in range(len(labels) + 1):
            for record in self._records.get(DNSLabel(labels[start:]), []):
                if record.rtype == QTYPE.SOA:
                    return [record]
        return []


def _payload(request: DNSRecord) -> int | None:
    """The size of UDP answer that the client takes, None without EDNS."""
    return next((int(record.rclass) for record in request.ar if record.rtype == QTYPE.OPT), None)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            request = DNSRecord.parse(data)
            reply = self._zone.answer(request)
        except (DNSError, ValueError):
            return  # not a query
        packet = reply.pack()
        if len(packet) > min(max(_payload(request) or 0, PLAIN_UDP_BYTES), EDNS_BYTES):
            truncated = request.reply(aa=0)  # with its question, which dnslib's truncate() leaves out
            truncated.header.tc = 1
            packet = truncated.pack()
        self._transport.sendto(packet, addr)


async def serve_dns(zone: Zone, address: str, preferred: int) -> tuple[int, asyncio.DatagramTransport, asyncio.Server]:
    """Serve a zone on the first port from `preferred` on that is free for UDP and TCP.

    Returns:
        The port, and what to close.

    Raises:
        OSError: fifty ports in a row are taken.
    """

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    packet = zone.answer(DNSRecord.parse(await reader.readexactly(length))).pack()
                    writer.write(struct.pack("!H", len(packet)) + packet)
                    await writer.drain()
        except (asyncio.IncompleteReadError, OSError, DNSError, ValueError):  # it left, is slow, or speaks no DNS
            return
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    for port in range(preferred, preferred + 50):
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(zone), local_addr=(address, port))
        except OSError:
            continue
        try:
            return port, transport, await asyncio.start_server(connected, address, port)
        except OSError:
            transport.close()
    raise OSError(f"all ports from {preferred} to {preferred + 49} on {address} are taken")
