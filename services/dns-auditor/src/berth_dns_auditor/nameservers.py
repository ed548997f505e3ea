"""The resolver over the network: recursive name servers, asked in turn."""

import asyncio
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import dns.rcode
import dns.resolver

from berth_dns_auditor.resolver import Answer, Rcode, Rdtype, TemporaryDnsError
from berth_dns_auditor.transport.https import HttpsFailed
from berth_dns_auditor.transport.slots import Slots
from berth_dns_auditor.transport.upstream import Upstream
from berth_dns_auditor.transport.wire import ALIASES_MAX, MalformedReply, Question, Reply
from berth_net import Nameserver

__all__ = ["Nameserver", "NameserverResolver", "system_nameservers"]

#: The response codes that say something of the name; every other one is temporary (RFC 7208 §4.4).
_DEFINITE: Final[dict[int, Rcode]] = {0: "NOERROR", 3: "NXDOMAIN"}


def system_nameservers() -> tuple[Nameserver, ...]:
    """The resolvers that the operating system is set up with. Reads a file: call it at start only."""
    return tuple(Nameserver(str(server)) for server in dns.resolver.Resolver().nameservers)


class NameserverResolver:
    """Asks recursive name servers in turn until one gives a definite answer.

    An async context manager: sockets are opened when they are needed, and closed when it is left.

    Args:
        nameservers: At least one. One that answers with an error is not asked again for the same question, and one
            that has been silent is asked after the others.
        attempt: Seconds that one server has for its first try, and twice as many for each next one.
        rounds: How often each server is tried.
        deadline: Seconds that one question has altogether, without the wait for a free slot.
        in_flight: Questions under way at once; more wait.
        context: For name servers behind TLS; None is that of the system's authorities.
    """

    def __init__(
        self,
        nameservers: Sequence[Nameserver],
        *,
        attempt: float = 1.0,
        rounds: int = 3,
        deadline: float = 8.0,
        in_flight: int = 256,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._upstreams = tuple(Upstream(nameserver, context) for nameserver in nameservers)
        self._attempt = attempt
        self._rounds = rounds
        self._deadline = deadline
        self._slots = Slots(in_flight)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for upstream in self._upstreams:
            await upstream.close()

    async def query(self, name: str, rdtype: Rdtype) -> Answer:
        """Ask; see `Resolver.query`."""
        asked = name.lower().removesuffix(".")
        question = Question.of(asked, rdtype)
        if question is None:
            return Answer(asked, rdtype, "NXDOMAIN")
        async with self._slots:
            return await self._follow(asked, question, asyncio.get_running_loop().time() + self._deadline)

    async def _follow(self, asked: str, question: Question, expires: float) -> Answer:
        server, reply = await self._ask(asked, question, expires)
        aliases, ttl, authenticated = reply.aliases, reply.ttl, reply.authenticated
        while not reply.settled and (target := Question.of(aliases[-1], question.rdtype)):
            server, reply = await self._ask(asked, target, expires)
            aliases += reply.aliases
            ttl, authenticated = min(ttl, reply.ttl), authenticated and reply.authenticated
            if len(aliases) > ALIASES_MAX:
                raise TemporaryDnsError(asked, question.rdtype, f"more than {ALIASES_MAX} aliases in a row")
        return Answer(
            name=asked,
            rdtype=question.rdtype,
            rcode=_DEFINITE[reply.rcode],
            records=reply.records,
            aliases=aliases,
            ttl=ttl,
            server=str(server),
            authenticated=authenticated,
        )

    async def _ask(self, asked: str, question: Question, expires: float) -> tuple[Nameserver, Reply]:
        now = asyncio.get_running_loop().time
        reasons: dict[Nameserver, str] = {}
        usable = self._in_turn(now())
        for round_ in range(self._rounds):
            for upstream in tuple(usable):
                server = upstream.nameserver
                if (left := expires - now()) <= 0:
                    break
                reply = await _try(upstream, question, min(self._attempt * 2**round_, left))
                if isinstance(reply, str):
                    reasons[server] = reply
                elif reply.rcode in _DEFINITE:
                    return server, reply
                else:
                    reasons[server] = f"{server} answered {dns.rcode.to_text(dns.rcode.Rcode(reply.rcode))}"
                    usable.remove(upstream)
        if expires <= now():
            raise TemporaryDnsError(asked, question.rdtype, f"no answer within {self._deadline:g} s")
        raise TemporaryDnsError(asked, question.rdtype, "; ".join(reasons.values()))

    def _in_turn(self, now: float) -> list[Upstream]:
        """The name servers as they were named, those that have been silent behind the others."""
        if len(self._upstreams) == 1:
            return list(self._upstreams)
        return sorted(self._upstreams, key=lambda upstream: upstream.rests(now))


async def _try(upstream: Upstream, question: Question, timeout: float) -> Reply | str:  # noqa: ASYNC109 - of one try
    """What a name server says, or why it says nothing."""
    server = upstream.nameserver
    try:
        return await upstream.exchange(question, timeout)
    except TimeoutError:
        return f"{server} timed out"
    except (MalformedReply, HttpsFailed) as error:
        return f"{server}: {type(error).__name__}, {error}"
    except (OSError, EOFError) as error:
        return f"{server}: {type(error).__name__}"
