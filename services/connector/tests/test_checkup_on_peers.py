"""Checkups on scripted servers: what few servers offer, what others refuse, and what hostile ones do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID

import pytest

from berth_connector.checkup.delivery import Means
from berth_connector.checkup.examiner import Examiner
from berth_connector.checkup.worker import Errand
from berth_connector.probe import Dialler, Limits, Login
from berth_events.contracts import Checkup, MailServer
from berth_events.runtime.clock import Clock
from berth_net import Address, HostGuard, LookupFailed, Policy
from berth_testing.clocks import HeldClock, SteppingClock
from berth_testing.peers import CLOSE, STAY, Answer, Peer, Script, drip, flood
from berth_testing.waiting import until

pytestmark = pytest.mark.usefixtures("no_leaks")

ID = UUID("01890000-0000-7000-8000-0000000000c1")
MESSAGE_ID = f"<berth-checkup-{ID}@test.example>"
LIMITS = Limits(resolve=1, connect=1, tls=1, reply=0.5, authenticate=0.7, look=1, total=4)
PASSWORD = "correct horse"
HEADER = (
    f"Message-ID: {MESSAGE_ID}\r\n"
    "Received: from out.test.example (out.test.example [100.0.0.7]) by mx.test.example with ESMTPS; today\r\n"
    "DKIM-Signature: v=1; d=test.example; s=one\r\n\r\n"
)
FOUND = b"* SEARCH 7\r\nTAG OK\r\n"
NOTHING = b"* SEARCH\r\nTAG OK\r\n"
FOLDERS = (
    b'* LIST (\\Junk) "/" "Junk \\"& Co\\""\r\n* LIST (\\HasNoChildren \\Trash) "/" Bin\r\n'
    b'* LIST (\\Sent) "/" {4}\r\nSent\r\nTAG OK\r\n'
)
SMTP = (
    (r"^EHLO ", b"250-smtp.test.example\r\n250 AUTH PLAIN\r\n"),
    (r"^AUTH ", b"235 ok\r\n"),
    (r"^MAIL FROM:<me@test.example>$", b"250 ok\r\n"),
    (r"^RCPT TO:<me@test.example>$", b"250 ok\r\n"),
    (r"^DATA$", b"354 go on\r\n"),
)


def fetched(header: str) -> bytes:
    raw = header.encode("utf-8", "surrogateescape")
    return b"* 3 FETCH (UID 7 BODY[HEADER.FIELDS (X)] {%d}\r\n" % len(raw) + raw + b")\r\nTAG OK\r\n"


class ReverseDns:
    async def addresses(self, _host: str) -> tuple[Address, ...]:
        return (ip_address("127.0.0.1"),)

    async def names(self, _address: Address) -> tuple[str, ...]:
        raise LookupFailed


@dataclass
class Servers:
    """One IMAP and one SMTP server, whose answers change when the message was sent; `noted` is when it was."""

    imap: Peer
    smtp: Peer
    examine: Callable[..., Any]
    clock: Any
    noted: list[datetime] = field(default_factory=list)

    def commands(self, name: str) -> list[str]:
        """What the IMAP server was told, without tags."""
        told = (line.partition(" ")[2] for line in self.imap.received)
        return [command for command in told if command.startswith(name)]


Start = Callable[..., Any]


@pytest.fixture
def start(client_tls: Any, certificates: Any, table: Any) -> Start:
    """Runs both servers; `async with start(offers="IDLE UIDPLUS") as servers: await servers.examine()`."""

    @asynccontextmanager
    async def run(
        *,
        offers: str = "IDLE UIDPLUS MOVE",
        sent: Sequence[tuple[str, Answer]] = (),
        imap: Sequence[tuple[str, Answer]] = (),
        smtp: Sequence[tuple[str, Answer]] = (),
        header: str = HEADER,
        clock: Clock | None = None,
        address: str = "me@test.example",
        arrival: float = 300,
    ) -> AsyncIterator[Servers]:
        capabilities = f"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN {offers}\r\nTAG OK\r\n".encode()
        answers: list[tuple[str, Answer]] = [
            *imap,
            (r" CAPABILITY$", capabilities),
            (r" AUTHENTICATE PLAIN ", b"TAG OK\r\n"),
            (r" EXAMINE ", b"TAG OK\r\n"),
            (r" LIST ", FOLDERS),
            (r" SELECT ", b"* 3 EXISTS\r\nTAG OK [READ-WRITE]\r\n"),
            (r" UID FETCH 7 ", fetched(header)),
            (r" UID (STORE|EXPUNGE|MOVE) ", b"TAG OK\r\n"),
            (r" SEARCH ", NOTHING),
            (r" IDLE$", b"+ idling\r\n"),
            (r"^DONE$", b""),
        ]

        async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """From now on the IMAP server answers as it does when the message is there."""
            answers[:0] = list(sent)
            writer.write(b"250 queued\r\n")

        async def end_idle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tag = next(line for line in reversed(imap_peer.received) if line.endswith(" IDLE")).partition(" ")[0]
            writer.write(f"{tag} OK\r\n".encode())

        answers[-1] = (r"^DONE$", end_idle)
        imap_script = Script(greeting=b"* OK ready\r\n", answers=answers)
        smtp_script = Script(greeting=b"220 ready\r\n", answers=[*smtp, *SMTP, (r"^\.$", accept)])
        tls = certificates.server()
        async with Peer.run(imap_script, implicit=tls) as imap_peer, Peer.run(smtp_script, implicit=tls) as smtp_peer:
            dns, clock = ReverseDns(), clock or SteppingClock()
            policy = Policy(
                allow_networks=(ip_network("127.0.0.0/8"),), allow_ports=frozenset({imap_peer.port, smtp_peer.port})
            )
            dialler = Dialler(HostGuard(dns, policy), client_tls, LIMITS)
            means = Means(
                dialler=dialler, table=table, clock=clock, limits=LIMITS, local_hostname="me.example", arrival=arrival
            )

            def login(port: int) -> Login:
                server = MailServer(host="mail.test.example", port=port, security="tls", username="me@test.example")
                return Login(server, PASSWORD)

            async def examine(sent_at: datetime | None = None) -> Checkup:
                examiner = Examiner(means, dns)
                errand = Errand(ID, sent_at, note)
                return (await examiner.examine(errand, address, login(imap_peer.port), login(smtp_peer.port))).checkup

            async def note(at: datetime) -> None:
                servers.noted.append(at)

            servers = Servers(imap_peer, smtp_peer, examine, clock)
            yield servers

    return run


def code(found: Checkup) -> tuple[str, str | None]:
    return found.outcome, found.diagnosis and found.diagnosis.code


async def test_a_server_without_idle_is_asked_again_and_again(start: Start) -> None:
    async with start(offers="UIDPLUS", sent=[(r" SEARCH ", FOUND)]) as servers:
        found = await servers.examine()
        assert code(found) == ("delivered", None)
        assert servers.commands("IDLE") == []
        assert servers.commands("UID EXPUNGE") == ["UID EXPUNGE 7"] * 3  # in INBOX, Junk and Sent
    assert (found.dkim_selector, found.sending_ip, found.reverse_dns, found.provider) == (
        "one",
        "100.0.0.7",
        None,
        None,
    )


async def test_a_server_that_idles_tells_when_it_is_there(start: Start) -> None:
    """The clock stands still: nothing but the server's word ends the wait."""

    async def push(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        servers.imap.script.answers.insert(0, (r" SEARCH ", FOUND))
        writer.write(b"+ idling\r\n* 4 EXISTS\r\n")

    async with start(clock=HeldClock(), sent=[(r" IDLE$", push)]) as servers:
        found = await servers.examine()
        assert code(found) == ("delivered", None)
        assert servers.commands("IDLE") == ["IDLE"]
    assert found.delay_ms == 0


@pytest.mark.parametrize("searched", [b"* SEARCH\r\n* 4 EXISTS\r\nTAG OK\r\n", b"* SEARCH\r\nTAG OK\r\n* 4 EXISTS\r\n"])
async def test_what_arrives_while_the_inbox_is_searched_is_not_idled_for(start: Start, searched: bytes) -> None:
    """The server has told it, and does not tell it again."""
    async with start(imap=[(r" LIST ", b"TAG OK\r\n")]) as servers:
        answers: list[tuple[str, Answer]] = servers.imap.script.answers

        async def arrive(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if servers.noted:
                answers.insert(0, (r" SEARCH ", FOUND))
            tag = servers.imap.received[-1].partition(" ")[0].encode()
            writer.write(searched.replace(b"TAG", tag) if servers.noted else NOTHING.replace(b"TAG", tag))

        answers.insert(0, (r" SEARCH ", arrive))
        found = await servers.examine()
        assert code(found) == ("delivered", None)
        assert sum(servers.clock.slept) <= 1
        assert found.delay_ms <= 1000


async def test_a_server_that_always_has_news_is_not_asked_without_end(start: Start) -> None:
    async with start(imap=[(r" SEARCH ", b"* SEARCH\r\n* 4 EXISTS\r\nTAG OK\r\n")], arrival=60) as servers:
        assert code(await servers.examine()) == ("missing", "MESSAGE_NOT_ARRIVED")
        assert sum(servers.clock.slept) == pytest.approx(60)


@pytest.mark.parametrize("rest", [b"* 4 EXI", b"* 4 EXISTS\r\n* 1 RECENT\r\n"])
async def test_what_comes_with_the_last_answer_of_the_sign_in_is_no_harm(start: Start, rest: bytes) -> None:
    """Also when a line is cut just where the connection changes hands."""

    async def opened(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tag = servers.imap.received[-1].partition(" ")[0].encode()
        writer.write(tag + b" OK\r\n" + rest)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(b"STS\r\n" if not rest.endswith(b"\n") else b"")

    async with start(imap=[(r" EXAMINE ", opened)], sent=[(r" SEARCH ", FOUND)]) as servers:
        assert code(await servers.examine()) == ("delivered", None)
        assert servers.imap.connections == 1


async def test_a_server_that_refuses_to_idle_is_polled(start: Start) -> None:
    async with start(imap=[(r" IDLE$", b"TAG NO not today\r\n")]) as servers:
        assert code(await servers.examine()) == ("missing", "MESSAGE_NOT_ARRIVED")
        assert len(servers.commands("IDLE")) == 1


async def test_a_message_that_never_arrives_is_waited_for_five_minutes(start: Start) -> None:
    async with start() as servers:
        found = await servers.examine()
        assert code(found) == ("missing", "MESSAGE_NOT_ARRIVED")
        assert sum(servers.clock.slept) == pytest.approx(300)
        assert len(servers.clock.slept) < 30
        assert servers.commands("UID STORE") == []
        assert servers.commands("UID SEARCH")[0] == (
            f'UID SEARCH UNDELETED OR HEADER Message-ID "{MESSAGE_ID}" HEADER X-Berth-Checkup "{ID}"'
        )
        folders = servers.commands("SELECT")
        assert folders[:3] == ['SELECT "INBOX"', 'SELECT "Junk \\"& Co\\""', 'SELECT "INBOX"']


@pytest.mark.parametrize(
    ("offers", "commands"),
    [
        ("UIDPLUS MOVE", ["UID STORE 7 +FLAGS (\\Deleted)", "UID EXPUNGE 7"]),
        ("MOVE", ['UID MOVE 7 "Bin"', "UID STORE 7 +FLAGS (\\Deleted)"]),
        ("", ["UID STORE 7 +FLAGS (\\Deleted)"]),
        ("UIDPLUS MOVE X-GM-EXT-1", ['UID MOVE 7 "Bin"', "UID STORE 7 +FLAGS (\\Deleted)", "UID EXPUNGE 7"]),
    ],
)
async def test_only_this_message_is_deleted(start: Start, offers: str, commands: list[str]) -> None:
    async with start(offers=offers, sent=[(r" SEARCH ", FOUND)]) as servers:
        assert code(await servers.examine()) == ("delivered", None)
        told = servers.commands("")
        changing = [one for one in told if one.startswith(("UID STORE", "UID EXPUNGE", "UID MOVE", "EXPUNGE", "CLOSE"))]
        assert list(dict.fromkeys(changing)) == commands


async def test_that_it_was_sent_is_noted_at_once(start: Start) -> None:
    async with start(sent=[(r" SEARCH ", FOUND)]) as servers:
        before = servers.clock.now()
        await servers.examine()
        assert servers.noted == [before]
    async with start(smtp=[(r"^DATA$", b"554 5.7.1 no\r\n")]) as servers:
        await servers.examine()
        assert servers.noted == []


async def test_a_run_that_takes_over_waits_for_what_is_on_its_way_and_sends_nothing(start: Start) -> None:
    async with start(clock=SteppingClock()) as servers:
        sent_at = servers.clock.now() - timedelta(seconds=100)
        found = await servers.examine(sent_at)
        assert code(found) == ("missing", "MESSAGE_NOT_ARRIVED")
        assert found.started_at == sent_at
        assert sum(servers.clock.slept) == pytest.approx(200)  # of 300 in all
        servers.imap.script.answers.insert(0, (r" SEARCH ", FOUND))
        assert code(await servers.examine(sent_at - timedelta(hours=1))) == ("delivered", None)
        assert servers.smtp.connections == 0
        assert servers.noted == []
        assert "UID EXPUNGE 7" in servers.commands("UID EXPUNGE")


async def test_a_message_that_was_renamed_on_its_way_is_known_by_our_own_field(start: Start) -> None:
    """As Amazon's relays do."""
    header = HEADER.replace(MESSAGE_ID, "<0100abc@email.amazonses.com>")
    async with start(header=f"X-Berth-Checkup: {ID}\r\n{header}", sent=[(r" SEARCH ", FOUND)]) as servers:
        assert code(await servers.examine()) == ("delivered", None)
        assert "UID EXPUNGE 7" in servers.commands("UID EXPUNGE")
    header = header.replace("Received:", f"Subject: Undeliverable: {ID}\r\nReceived:")
    async with start(header=header, sent=[(r" SEARCH ", FOUND)], arrival=1) as servers:
        assert code(await servers.examine()) == ("missing", "MESSAGE_NOT_ARRIVED")  # a bounce is not the message
        assert servers.commands("UID STORE") == []


async def test_of_a_long_header_the_beginning_is_read(start: Start) -> None:
    """And not the field that is cut: half a selector would be another one."""
    for number, selector in ((20, "one"), (400, None)):
        many = "".join(f"Received: by relay{hop}.test.example;\r\n {'x' * 400}\r\n" for hop in range(number))
        header = HEADER.replace("DKIM", f"{many}DKIM")
        cut = header[: 65_536 if selector else header.index("; s=one") + 5]
        padding = "" if selector else "X: " + "y" * (65_536 - len(cut) - 5) + "\r\n"
        async with start(header=padding + cut, sent=[(r" SEARCH ", FOUND)]) as servers:
            found = await servers.examine()
            assert code(found) == ("delivered", None)
            assert found.dkim_selector == selector
            [fetch, *_] = servers.commands("UID FETCH")
            assert fetch.endswith("<0.65536>")


async def test_a_server_that_finds_everything_deletes_nothing(start: Start) -> None:
    other = "Message-ID: <somebody@else>\r\n\r\n"
    every = b"* SEARCH 1 2 3 7 7 7\r\nTAG OK\r\n"
    async with start(imap=[(r" UID FETCH ", fetched(other)), (r" SEARCH ", every)], arrival=5) as servers:
        assert code(await servers.examine()) == ("missing", "MESSAGE_NOT_ARRIVED")
        assert servers.commands("UID STORE") == servers.commands("UID MOVE") == servers.commands("UID EXPUNGE") == []


async def test_what_cannot_be_deleted_was_still_delivered(start: Start) -> None:
    refusing = (r" UID STORE ", b"TAG NO [READ-ONLY] no\r\n")
    async with start(sent=[(r" SEARCH ", FOUND), refusing]) as servers:
        assert code(await servers.examine()) == ("delivered", None)


@pytest.mark.parametrize("for_good", [False, True])
async def test_what_could_not_be_deleted_because_the_connection_ended_is_deleted_over_another(
    start: Start, *, for_good: bool
) -> None:
    async with start(sent=[(r" SEARCH ", FOUND)]) as servers:
        answers: list[tuple[str, Answer]] = servers.imap.script.answers

        async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not for_good:
                answers.remove(hanging_up)
            writer.close()

        hanging_up: tuple[str, Answer] = (r" UID STORE ", hang_up)
        answers.insert(0, hanging_up)
        assert code(await servers.examine()) == ("delivered", None)
        assert (servers.imap.connections, servers.smtp.connections) == (2, 1)
        assert servers.commands("UID EXPUNGE") == ([] if for_good else ["UID EXPUNGE 7"] * 3)


@pytest.mark.parametrize(
    ("command", "reply", "expected"),
    [
        (r"^RCPT ", b"550 5.1.1 no such user here\r\n", "SEND_REFUSED"),
        (r"^RCPT ", b"451 4.7.1 Greylisted, try again in 300 seconds\r\n", "PROVIDER_TEMPORARY"),
        (r"^RCPT ", b"552 5.2.2 over quota\r\n", "MAILBOX_FULL"),
        (r"^MAIL ", b"553 5.7.1 <me@test.example>: Sender address rejected: not owned by user x\r\n", "SEND_AS_DENIED"),
        (r"^MAIL ", b"530 5.7.0 Authentication required\r\n", "AUTH_REQUIRED"),
        (r"^DATA$", b"554 5.7.1 no\r\n", "SEND_REFUSED"),
        (r"^\.$", b"554 5.7.1 looks like spam\r\n", "SEND_REFUSED"),
        (r"^\.$", b"421 4.3.2 shutting down\r\n", "PROVIDER_TEMPORARY"),
        (r"^\.$", b"", "PROVIDER_TEMPORARY"),
        (r"^AUTH ", b"535 5.7.8 no\r\n", "AUTH_BAD_CREDENTIALS"),
    ],
)
async def test_a_message_that_is_refused_is_diagnosed(start: Start, command: str, reply: bytes, expected: str) -> None:
    async with start(smtp=[(command, reply)]) as servers:
        found = await servers.examine()
        assert code(found) == ("failed", expected), found.diagnosis
        assert len(servers.commands("AUTHENTICATE")) == 1


async def test_a_recipient_that_is_forwarded_will_do(start: Start) -> None:
    async with start(smtp=[(r"^RCPT ", b"251 will forward\r\n")], sent=[(r" SEARCH ", FOUND)]) as servers:
        assert code(await servers.examine()) == ("delivered", None)


async def test_an_address_in_other_letters_needs_smtputf8(start: Start) -> None:
    async with start(address="käthe@bücher.example") as servers:
        assert code(await servers.examine()) == ("failed", "CAPABILITY_MISSING")
    ehlo = (r"^EHLO ", b"250-smtp.test.example\r\n250-SMTPUTF8\r\n250 AUTH PLAIN\r\n")
    to = "<käthe@xn--bcher-kva.example>"
    taken = [(f"^MAIL FROM:{to} SMTPUTF8$", b"250 ok\r\n"), (f"^RCPT TO:{to}$", b"250 ok\r\n")]
    async with start(address="käthe@bücher.example", smtp=[ehlo, *taken], arrival=1) as servers:
        assert code(await servers.examine()) == ("missing", "MESSAGE_NOT_ARRIVED")


async def test_a_password_that_imap_refuses_is_not_tried_by_smtp(start: Start) -> None:
    refusal = (r" AUTHENTICATE ", b"TAG NO [AUTHENTICATIONFAILED] no\r\n")
    async with start(imap=[refusal]) as servers:
        assert code(await servers.examine()) == ("failed", "AUTH_BAD_CREDENTIALS")
        assert (servers.imap.connections, servers.smtp.connections) == (1, 0)


async def test_a_connection_that_is_lost_while_waiting_is_made_anew(start: Start) -> None:
    async with start() as servers:
        answers: list[tuple[str, Answer]] = servers.imap.script.answers

        async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answers[:0] = [(r" SEARCH ", FOUND)]
            writer.close()

        answers.insert(0, (r" IDLE$", hang_up))
        found = await servers.examine()
        assert code(found) == ("delivered", None)
        assert servers.imap.connections == 2
        assert servers.smtp.connections == 1  # nothing is sent twice


@pytest.mark.parametrize("action", [CLOSE, b"* BYE too long\r\n"], ids=["close", "bye"])
async def test_a_server_that_always_hangs_up_is_left_alone_in_the_end(start: Start, action: Answer) -> None:
    idle: Answer = action if not isinstance(action, bytes) else (action, CLOSE)
    async with start(imap=[(r" IDLE$", idle)]) as servers:
        assert code(await servers.examine()) == ("failed", "PROVIDER_TEMPORARY")
        assert (servers.imap.connections, servers.smtp.connections) == (3, 1)


HOSTILE: dict[str, Answer] = {
    "silence": STAY,
    "close": CLOSE,
    "drip": drip(),
    "flood of lines": flood(b"* 1 EXISTS\r\n" * 100),
    "wrong tag": b"WRONG1 OK done\r\n",
    "endless line": flood(b"x" * 1000),
    "endless literal": b"* SEARCH {4294967295}\r\nabc",
    "many numbers": b"* SEARCH " + b"7 " * 300_000,
    "long number": b"* SEARCH " + b"7" * 10_000 + b"\r\nTAG OK\r\n",
    "many lines": b"\r\n" * 5000 + b"* SEARCH 1\r\n",
    "asking for more": b"+ more\r\n",
    "bad": b"TAG BAD what\r\n",
    "no": b"TAG NO [SERVERBUG] no\r\n",
    "bye": b"* BYE gone\r\n",
    "broken encoding": b"* \xff\xfe \xff\r\n* CAPABILITY \xff\r\n\xff OK\r\n",
    "unasked literal": b"* 7 FETCH (UID 7 BODY[] {3}\r\nabc\r\n",
    "zeros": b"\0" * 5000,
}
COMMANDS = (" LIST ", " SELECT ", " SEARCH ", " IDLE$", " UID FETCH ")
#: Everything in answer to SEARCH, and the first few to the other commands.
CASES = [
    (command, name)
    for command in COMMANDS
    for name in (HOSTILE if command == " SEARCH " else list(HOSTILE)[:5])
]  # fmt: skip


@pytest.mark.parametrize(("command", "name"), CASES)
async def test_hostile_servers_end_in_time(start: Start, command: str, name: str) -> None:
    """Whatever they say, the checkup ends with a result, and nothing is left of it."""
    sent = [(r" SEARCH ", FOUND)] if command == " UID FETCH " else []
    began = asyncio.get_running_loop().time()
    async with start(imap=[(command, HOSTILE[name])], sent=sent, arrival=2) as servers:
        assert (await servers.examine()).outcome in {"failed", "missing"}
    assert asyncio.get_running_loop().time() - began < 10


@pytest.mark.parametrize("answer", [b"TAG OK\r\n", b"TAG NO no\r\n", b"* LIST (\\Junk NIL x\r\nTAG OK\r\n"])
async def test_a_mailbox_without_known_folders_has_its_inbox(start: Start, answer: bytes) -> None:
    async with start(imap=[(r" LIST ", answer)], sent=[(r" SEARCH ", FOUND)]) as servers:
        found = await servers.examine()
        assert (found.outcome, found.folder) == ("delivered", "INBOX")
        assert set(servers.commands("SELECT")) == {'SELECT "INBOX"'}


async def test_a_spam_folder_is_known_by_its_name(start: Start) -> None:
    listing = b'* LIST () "." INBOX.Spam\r\n* LIST () "." "INBOX.Spam filter"\r\nTAG OK\r\n'
    async with start(imap=[(r" LIST ", listing)], arrival=1) as servers:
        await servers.examine()
        assert set(servers.commands("SELECT")) == {'SELECT "INBOX"', 'SELECT "INBOX.Spam"'}


async def test_the_folder_is_named_as_people_read_it(start: Start) -> None:
    junk = b'* LIST (\\Junk) "/" "[Gmail]/&BCEEPwQwBDw- &- &broken"\r\nTAG OK\r\n'
    async with start(imap=[(r" LIST ", junk)]) as servers:
        answers: list[tuple[str, Answer]] = servers.imap.script.answers
        searches: list[str] = []

        async def in_junk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            selected = next(line for line in reversed(servers.imap.received) if " SELECT " in line)
            tag = servers.imap.received[-1].partition(" ")[0]
            searches.append(selected)
            writer.write((b"" if "INBOX" in selected else b"* SEARCH 7\r\n") + f"{tag} OK\r\n".encode())

        answers.insert(0, (r" SEARCH ", in_junk))
        found = await servers.examine()
    assert (found.outcome, found.folder) == ("spam", "[Gmail]/Спам & &broken")


async def test_a_server_that_writes_the_password_into_headers_tells_nobody(start: Start) -> None:
    header = HEADER.replace("s=one", f"s={PASSWORD.replace(' ', '')}").replace(
        "Received:", f"Authentication-Results: mx.test.example; x={PASSWORD}\r\nReceived:"
    )
    async with start(header=header, sent=[(r" SEARCH ", FOUND)]) as servers:
        found = await servers.examine()
    assert PASSWORD not in found.model_dump_json()
    assert found.authentication_results == "mx.test.example; x=***"


@pytest.mark.parametrize("after", [" EXAMINE ", " LIST ", " SEARCH ", " IDLE$"])
async def test_a_checkup_is_cancelled_wherever_it_is(start: Start, after: str) -> None:
    async with start(imap=[(after, STAY)], clock=HeldClock()) as servers:
        task = asyncio.create_task(servers.examine())
        word = after.strip(" $")
        await until(lambda: any(word in one for one in servers.commands("")), within=3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(1):
                await task
