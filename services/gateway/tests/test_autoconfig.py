"""Autoconfiguration: what is found of a domain, and what is never said."""

import asyncio
from collections import Counter
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_gateway.accounts.servers import PROVIDER_SERVERS
from berth_gateway.autoconfig.findings import Findings, Lookup, Place
from berth_gateway.autoconfig.known import KnownServices
from berth_gateway.autoconfig.lookup import Autoconfig
from berth_gateway.autoconfig.presentation import username_of
from berth_gateway.autoconfig.services import UsernameForm
from berth_gateway.imports.vetting import ServersOfOneImport
from berth_net import HostGuard, LookupFailed, Policy, ServiceRecord, is_routable
from berth_testing.gateway_harness import NamedHosts

SERVICES = KnownServices.load()
SECURE = {"_imaps": ServiceRecord("imap.acme.com", 993), "_submissions": ServiceRecord("smtp.acme.com", 465)}


class Records(NamedHosts):
    """Counts the domains that it is asked about; SRV records of `slow` never come."""

    def __init__(self, *, failing: bool = False) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.failing, self.at_once, self.most = failing, 0, 0

    async def exchanges(self, domain: str) -> tuple[str, ...]:
        self.asked[domain] += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        if self.failing:
            raise LookupFailed(domain)
        return await super().exchanges(domain)

    async def services(self, name: str) -> tuple[ServiceRecord, ...]:
        if name.endswith(".slow.test"):
            await asyncio.sleep(3600)
        return await super().services(name)


def autoconfig(records: Records, **options: Any) -> Autoconfig:
    return Autoconfig(SERVICES, records, HostGuard(records), **options)


def hosts(found: Findings) -> tuple[list[str], list[str]]:
    imap, smtp = ([f"{place.host}:{place.port}" for place in places] for places in (found.imap, found.smtp))
    return imap, smtp


def outcomes(found: Findings) -> dict[str, str]:
    return {lookup.question: lookup.outcome for lookup in found.looked_up}


def test_the_table_agrees_with_what_accounts_of_the_providers_get() -> None:
    for provider, domain in (("gmail", "gmail.com"), ("outlook", "")):
        exchange = SERVICES.of_exchange("acme-com.mail.protection.outlook.com")
        service = SERVICES.of_domain(domain) or (exchange and exchange.service)
        assert service is not None
        first = {
            protocol: (server.host, server.port)
            for protocol, server in zip(("imap", "smtp"), (service.imap[0], service.smtp[0]), strict=True)
        }
        assert first == PROVIDER_SERVERS[provider]


@pytest.mark.parametrize(
    ("exchange", "code"),
    [
        ("aspmx.l.google.com", "google"),
        ("acme-com.mail.protection.outlook.com", "microsoft"),
        ("mx.zoho.eu", "zoho"),
        ("in1-smtp.messagingengine.com", "fastmail"),
        ("mx.yandex.net", "yandex"),
        ("l.google.com.evil.test", None),
        ("evilgoogle.com", None),
        ("mx.acme.com", None),
    ],
)
async def test_whoever_takes_the_mail_has_the_mailboxes(exchange: str, code: str | None) -> None:
    records = Records()
    records.exchanged["acme.com"] = ("mx.filter.test", exchange)
    found = await autoconfig(records).find("acme.com")
    assert (found.service and found.service.code, found.complete) == (code, True)
    assert bool(found.imap) is bool(found.smtp) is (code is not None)
    assert {place.source for place in found.imap} <= {"mail_exchanger"}


async def test_the_services_own_domains_need_no_question() -> None:
    records = Records(failing=True)
    found = await autoconfig(records).find("icloud.com")
    assert (hosts(found), found.complete) == ((["imap.mail.me.com:993"], ["smtp.mail.me.com:587"]), True)
    assert [place.username_form for place in (*found.imap, *found.smtp)] == ["local_part", "address"]
    assert not records.asked


async def test_records_of_the_domain_are_found_with_implicit_tls_first() -> None:
    records = Records()
    records.known = {"imap.acme.com": "9.9.9.9", "smtp.acme.com": "9.9.9.9", "mail.host.test": "9.9.9.9"}
    for label, record in SECURE.items():
        records.offered[f"{label}._tcp.acme.com"] = (record,)
    records.offered["_imap._tcp.acme.com"] = (ServiceRecord("mail.host.test", 143),)
    found = await autoconfig(records).find("acme.com")
    assert hosts(found) == (["imap.acme.com:993", "mail.host.test:143"], ["smtp.acme.com:465"])
    assert [(place.security, place.confidence) for place in found.imap] == [("tls", "high"), ("starttls", "medium")]
    best = found.best("imap")
    assert best is not None
    assert best.host == "imap.acme.com"


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("imap.acme.com", 993, "10.0.0.1"),
        ("imap.acme.com", 993, "127.0.0.1"),
        ("imap.acme.com", 993, "169.254.169.254"),
        ("imap.acme.com", 993, "64:ff9b::7f00:1"),
        ("imap.acme.com", 993, "::ffff:10.0.0.1"),
        ("imap.acme.com", 6379, "9.9.9.9"),
        ("imap.acme.internal", 993, "9.9.9.9"),
        ("127.0.0.1", 993, "127.0.0.1"),
        ("0x7f.1", 993, "127.0.0.1"),
        ("localhost", 993, "127.0.0.1"),
        ("nowhere.acme.com", 993, None),
        ("", 0, None),
    ],
)
async def test_what_may_not_be_dialled_is_not_found(host: str, port: int, address: str | None) -> None:
    records = Records()
    records.known = {} if address is None else {host: address}
    records.offered["_imaps._tcp.acme.com"] = (ServiceRecord(host, port),)
    found = await autoconfig(records).find("acme.com")
    assert (hosts(found), found.complete) == (([], []), True)
    assert outcomes(found)["_imaps._tcp.acme.com SRV"] == ("refused" if host else "not_offered")


async def test_what_the_domain_does_not_offer_it_has_nowhere() -> None:
    records = Records()
    records.exchanged["acme.com"] = ("aspmx.l.google.com",)
    records.offered["_imaps._tcp.acme.com"] = records.offered["_submissions._tcp.acme.com"] = (ServiceRecord("", 0),)
    found = await autoconfig(records).find("acme.com")
    assert hosts(found) == ([], ["smtp.gmail.com:587"]), "neither implicit TLS nor IMAP, but STARTTLS"
    assert outcomes(found) == {
        "acme.com": "nothing",
        "acme.com MX": "found",
        "_imaps._tcp.acme.com SRV": "not_offered",
        "_imap._tcp.acme.com SRV": "nothing",
        "_submissions._tcp.acme.com SRV": "not_offered",
        "_submission._tcp.acme.com SRV": "nothing",
    }


async def test_a_known_services_host_needs_nobodys_agreement() -> None:
    records = Records()
    records.known = {"imap.fastmail.com": "9.9.9.9"}
    records.offered["_imaps._tcp.acme.com"] = (ServiceRecord("imap.fastmail.com", 993),)
    found = await autoconfig(records).find("acme.com")
    assert [(place.source, place.confidence, place.authentication) for place in found.imap] == [
        ("service_record", "high", ("password",))
    ]
    assert found.service is not None
    assert (found.service.code, found.service.sign_in) == ("fastmail", ("app_password",))


NAMES = (
    st.sampled_from(["imap.acme.com", "mail.host.test", "imap.gmail.com", "localhost", "127.0.0.1", "0x7f.1", ""])
    | st.text()
)
RECORDS = st.lists(st.builds(ServiceRecord, NAMES, st.sampled_from([993, 143, 465, 587, 25]) | st.integers(0, 65535)))
KINDS = ("_imaps", "_imap", "_submissions", "_submission")


@given(
    st.lists(NAMES, max_size=4),
    st.fixed_dictionaries({f"{kind}._tcp.acme.com": RECORDS.map(tuple) for kind in KINDS}),
    st.dictionaries(NAMES, st.ip_addresses().map(str)),
)
async def test_whatever_the_dns_says_only_what_may_be_dialled_is_proposed(
    exchanges: list[str], offered: dict[str, tuple[ServiceRecord, ...]], known: dict[str, str]
) -> None:
    records = Records()
    records.exchanged["acme.com"] = tuple(exchanges)
    records.offered |= offered
    records.known = known
    guard = HostGuard(records)
    found = await Autoconfig(SERVICES, records, guard).find("acme.com")
    assert found.complete
    assert len(found.looked_up) == 7
    for place in (*found.imap, *found.smtp):
        assert (guard.check_name(place.host), guard.check_port(place.port)) == (place.host, place.port)
        if place.source == "service_record":
            assert is_routable(ip_address(known[place.host]))
        of_a_service = SERVICES.of_host(place.host) is not None
        assert place.confidence == ("high" if of_a_service or f".{place.host}".endswith(".acme.com") else "medium")
    for protocol, places in (("imap", found.imap), ("smtp", found.smtp)):
        assert len({(place.host, place.port) for place in places}) == len(places), protocol


# -- Thunderbird's database


async def test_a_domain_of_the_database_needs_no_question() -> None:
    records = Records(failing=True)
    found = await autoconfig(records).find("free.fr")
    assert (hosts(found), found.complete) == ((["imap.free.fr:993"], ["smtp.free.fr:465"]), True)
    assert {(place.source, place.confidence, place.username_form) for place in (*found.imap, *found.smtp)} == {
        ("ispdb", "high", "local_part")
    }
    assert found.looked_up == (Lookup("service_table", "free.fr", "nothing"), Lookup("ispdb", "free.fr", "found"))
    assert not records.asked


async def test_a_host_with_the_domain_in_it_is_the_domains_own() -> None:
    found = await autoconfig(Records()).find("inbox.eu")
    assert hosts(found) == (["mail.inbox.eu:993"], ["mail.inbox.eu:465"])
    records = Records()
    records.exchanged["acme.com"] = ("mx.inbox.eu",)
    found = await autoconfig(records).find("acme.com")
    assert (found.service and found.service.code, hosts(found)) == ("inbox.lv", ([], [])), "not mail.acme.com"


async def test_what_the_database_does_not_know_is_asked_for() -> None:
    """Of POP3 and plain text it keeps nothing, and no port but those for mail is proposed."""
    records = Records()
    records.known = {"imap.yahoo.co.jp": "9.9.9.9"}
    records.offered["_imaps._tcp.yahoo.co.jp"] = (ServiceRecord("imap.yahoo.co.jp", 993),)
    found = await autoconfig(records).find("yahoo.co.jp")
    assert [(place.host, place.source) for place in found.imap] == [("imap.yahoo.co.jp", "service_record")]
    assert [(place.host, place.source) for place in found.smtp] == [("smtp.mail.yahoo.co.jp", "ispdb")]
    assert list(outcomes(found).items())[:2] == [("yahoo.co.jp", "found"), ("yahoo.co.jp MX", "nothing")]
    for domain in ("rediffmail.com", "clustermail.de"):  # 586 and 25
        found = await autoconfig(Records()).find(domain)
        assert {place.port for place in found.smtp} <= {465, 587}


@pytest.mark.parametrize(
    ("exchange", "code", "confidence"),
    [
        ("mx01.ispgateway.de", "df.eu", "high"),
        ("www42.your-server.de", "hetzner.de", "high"),
        ("your-server.de", "hetzner.de", "high"),
        ("static.9-9-9-9.clients.your-server.de", "hetzner.de", "medium"),
        ("acme.central.biz.rr.com", "rr.com", "medium"),
        ("mx1.pub.mailpod1.one.com", "onecom", "high"),
        ("yourserver.de", None, None),
    ],
)
async def test_whoever_takes_the_mail_may_be_a_customers_machine(
    exchange: str, code: str | None, confidence: str | None
) -> None:
    records = Records()
    records.exchanged["acme.com"] = (exchange,)
    found = await autoconfig(records).find("acme.com")
    assert (found.service and found.service.code) == code
    assert {place.confidence for place in (*found.imap, *found.smtp)} == ({confidence} if confidence else set())
    assert {place.source for place in (*found.imap, *found.smtp)} <= {"mail_exchanger"}


async def test_what_the_exchange_suggests_a_record_confirms() -> None:
    records = Records()
    records.exchanged["acme.com"] = ("acme.central.biz.rr.com",)
    service = SERVICES.of_domain("rr.com")
    assert service is not None
    [server, *_] = service.imap
    records.known = {server.host: "9.9.9.9"}
    records.offered["_imaps._tcp.acme.com"] = (ServiceRecord(server.host, server.port),)
    best = (await autoconfig(records).find("acme.com")).best("imap")
    assert best is not None
    assert (best.host, best.source, best.username_form) == (server.host, "service_record", server.username)
    assert best.authentication == server.authentication


async def test_of_several_that_take_the_mail_a_certain_one_counts() -> None:
    records = Records()
    records.exchanged["acme.com"] = ("acme.central.biz.rr.com", "mx01.ispgateway.de")
    found = await autoconfig(records).find("acme.com")
    assert (found.service and found.service.code, found.best("imap") is not None) == ("df.eu", True)


@pytest.mark.parametrize(
    ("form", "username"),
    [("address", "Alice+x@ACME.com"), ("local_part", "Alice+x"), ("address_with_dot", "Alice+x.ACME.com")],
)
def test_user_names_are_made_from_the_address_as_it_was_written(form: UsernameForm, username: str) -> None:
    place = Place(host="a.test", port=993, security="tls", username_form=form, source="ispdb", confidence="high")
    assert username_of("Alice+x@ACME.com", place) == username


async def test_nobody_is_asked_about_a_private_networks_names() -> None:
    records = Records()
    records.known = {"imap.acme.com": "9.9.9.9"}
    records.offered["_imaps._tcp.corp.internal"] = (ServiceRecord("imap.acme.com", 993),)
    found = await autoconfig(records).find("corp.internal")
    assert (hosts(found), found.complete, set(list(outcomes(found).values())[1:])) == (([], []), True, {"refused"})
    assert not records.asked
    guard = HostGuard(records, Policy.parse("10.0.0.0/8"))
    assert (await Autoconfig(SERVICES, records, guard).find("corp.internal")).imap


async def test_a_question_without_an_answer_costs_neither_the_others_nor_the_time() -> None:
    records = Records()
    records.exchanged["slow.test"] = ("mx1.emailsrvr.com",)
    finder = autoconfig(records, deadline=0.05)
    async with asyncio.timeout(1):
        found = await finder.find("slow.test")
    assert (found.service and found.service.code, found.complete) == ("rackspace", False)
    assert outcomes(found)["_imaps._tcp.slow.test SRV"] == "unanswered"
    await finder.find("slow.test")
    assert records.asked["slow.test"] == 2, "what is incomplete is not remembered"
    found = await autoconfig(Records(failing=True)).find("acme.com")
    assert (found.complete, outcomes(found)["acme.com MX"]) == (False, "unanswered")


async def test_each_domain_is_asked_about_once_and_some_at_a_time() -> None:
    records, now = Records(), [0.0]
    finder = autoconfig(records, monotonic=lambda: now[0])
    names = [f"acme{number % 120}.test" for number in range(600)]
    await asyncio.gather(*(finder.find(name) for name in names))
    assert set(records.asked.values()) == {1}
    assert records.most <= 50
    now[0] = 301
    await finder.find("acme0.test")
    assert records.asked["acme0.test"] == 2


async def test_an_import_stops_asking_when_its_time_is_over() -> None:
    finder = ServersOfOneImport(autoconfig(Records(), deadline=0.5), seconds=0.02)
    assert await finder.find("slow.test") == Findings(complete=False)
