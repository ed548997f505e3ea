"""A name server over UDP and TCP: it knows one zone file, and asks the machine's own name servers about every other name."""

import asyncio
import struct
from collections.abc import Sequence
from typing import Final, cast

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import dns.resolver
from dnslib import EDNS0, QTYPE, RCODE, RR, DNSError, DNSLabel, DNSRecord

__all__ = ["Upstream", "Zone", "serve_dns"]

PLAIN_UDP_BYTES = 512
EDNS_BYTES = 1232
IDLE_SECONDS = 10
DNS_PORT = 53
UPSTREAM_SECONDS = 3
UPSTREAM_QUERIES = 64
#: Names that exist nowhere else (RFC 6761, RFC 8375): asking others about them only tells them.
LOCAL: Final = tuple(DNSLabel(name) for name in ("test", "invalid", "localhost", "local", "internal", "home.arpa"))


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

    def knows(self, name: DNSLabel) -> bool:
        """Whether the name is answered here: it is below a zone, or can exist nowhere else."""
        return bool(self._authority(name)) or any(name.matchSuffix(local) for local in LOCAL)

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


class Upstream:
    """The machine's own name servers, for names that are not the sandbox's: with them a real mailbox can be tried as well."""

    def __init__(self, nameservers: Sequence[tuple[str, int]]) -> None:
        """Take addresses and ports."""
        self._nameservers = nameservers
        self._asking = asyncio.Semaphore(UPSTREAM_QUERIES)

    @classmethod
    def of_this_machine(cls) -> "Upstream":
        """Those of /etc/resolv.conf, or none."""
        try:
            return cls([(str(server), DNS_PORT) for server in dns.resolver.Resolver().nameservers])
        except dns.resolver.NoResolverConfiguration:
            return cls([])

    async def ask(self, packet: bytes) -> bytes:
        """The answer to a query; SERVFAIL when nobody gives one within 3 s."""
        query = dns.message.from_wire(packet)
        async with self._asking:
            for address, port in self._nameservers:
                try:
                    answer, _ = await dns.asyncquery.udp_with_fallback(
                        query, address, port=port, timeout=UPSTREAM_SECONDS
                    )
                except (dns.exception.DNSException, OSError):
                    continue
                return answer.to_wire()
        failure = dns.message.make_response(query)
        failure.set_rcode(dns.rcode.SERVFAIL)
        return failure.to_wire()


class _Server:
    """Answers packets, whatever they came by."""

    def __init__(self, zone: Zone, upstream: Upstream) -> None:
        self._zone, self._upstream = zone, upstream

    async def answer(self, packet: bytes, *, udp: bool) -> bytes | None:
        """The reply to a packet; None when it is no query."""
        try:
            request = DNSRecord.parse(packet)
            known = self._zone.knows(request.q.qname)
            reply = self._zone.answer(request).pack() if known else await self._upstream.ask(packet)
        except (DNSError, ValueError, dns.exception.DNSException):
            return None
        if udp and len(reply) > min(max(_payload(request) or 0, PLAIN_UDP_BYTES), EDNS_BYTES):
            truncated = request.reply(aa=0)  # with its question, which dnslib's truncate() leaves out
            truncated.header.tc = 1
            reply = truncated.pack()
        return bytes(reply)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: _Server) -> None:
        self._server = server
        self._answering: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.ensure_future(self._answer(data, addr))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = await self._server.answer(data, udp=True)
        if reply is not None and not self._transport.is_closing():
            self._transport.sendto(reply, addr)


async def serve_dns(
    zone: Zone, upstream: Upstream, address: str, preferred: int
) -> tuple[int, asyncio.DatagramTransport, asyncio.Server]:
    """Serve a zone on the first port from `preferred` on that is free for UDP and TCP.

    Returns:
        The port, and what to close.

    Raises:
        OSError: fifty ports in a row are taken.
    """
    server = _Server(zone, upstream)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    packet = await server.answer(await reader.readexactly(length), udp=False)
                    if packet is None:
                        return
                    writer.write(struct.pack("!H", len(packet)) + packet)
                    await writer.drain()
        except (asyncio.IncompleteReadError, OSError):  # it left, or is slow
            return
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    for port in range(preferred, preferred + 50):
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(server), local_addr=(address, port))
        except OSError:
            continue
        try:
            return port, transport, await asyncio.start_server(connected, address, port)
        except OSError:
            transport.close()
    raise OSError(f"all ports from {preferred} to {preferred + 49} on {address} are taken")
