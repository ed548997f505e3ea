"""Which rows are accepted, by rule; and the lookups of one import."""

import asyncio
from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_gateway.accounts.addresses import MailAddress
from berth_gateway.accounts.bulk import Admission, Existing
from berth_gateway.accounts.servers import NamedServer
from berth_gateway.imports.plan import Candidate, Rejection, Row, decide
from berth_gateway.imports.vetting import HostsOfOneImport, ImportVetting
from berth_net import Address, HostGuard, HostNotFound

MINE, OTHER, ACCOUNT = UUID(int=1), UUID(int=2), UUID(int=3)
BROKEN = Rejection(code="invalid_fields", detail="x", remedy="y")


@given(
    names=st.lists(st.sampled_from("abcdefAB?"), max_size=25),
    free=st.integers(0, 8),
    taken=st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([MINE, OTHER, None]), max_size=3),
)
def test_the_first_rows_that_fit_are_accepted(names: list[str], free: int, taken: dict[str, UUID | None]) -> None:
    rows: list[Row[str]] = []
    for number, name in enumerate(names, 1):
        candidate = Candidate(address=MailAddress.parse(f"{name}@acme.test"), mailbox=name) if name != "?" else BROKEN
        rows.append(Row(number=number, email=name, content=candidate))
    existing = {f"{name}@acme.test": Existing(ACCOUNT, workspace) for name, workspace in taken.items()}
    plan = decide(rows, Admission(free, existing), MINE)

    expected: dict[int, str | None] = {}
    seen: set[str] = set()
    left = free
    for number, name in enumerate(names, 1):
        key = name.lower()
        if name == "?":
            expected[number] = "invalid_fields"
        elif key in seen:
            expected[number] = "duplicate_address"
        elif key in taken:
            expected[number] = "already_connected" if taken[key] == MINE else "address_taken"
        else:
            expected[number] = None if left > 0 else "seat_limit_reached"
            left -= 1
        if name != "?":
            seen.add(key)
    told = {row.number: None for row, _ in plan.accepted} | {row.number: reason.code for row, reason in plan.rejected}
    assert told == expected
    assert plan.seats_needed == free - left
    assert len(plan.accepted) <= free


class Asked:
    """A resolver that counts what it is asked; hosts of `silent` never answer."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.at_once = self.most = 0

    async def addresses(self, host: str) -> tuple[Address, ...]:
        self.counts[host] += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.001 if "silent" not in host else 3600)
        self.at_once -= 1
        raise HostNotFound(host)


async def test_each_host_is_asked_for_once_and_some_at_a_time() -> None:
    asked = Asked()
    hosts = HostsOfOneImport(asked)
    names = [f"host{number % 120}.test" for number in range(1000)]
    found = await asyncio.gather(*(hosts.addresses(name) for name in names), return_exceptions=True)
    assert all(isinstance(each, HostNotFound) for each in found)
    assert set(asked.counts.values()) == {1}
    assert asked.most == 50


async def test_what_is_said_of_a_host_is_said_of_every_row_in_its_own_words() -> None:
    asked = Asked()
    vetting = ImportVetting(HostGuard(HostsOfOneImport(asked)))

    def named(host: str, username: str, protocol: str, port: int = 993) -> NamedServer:
        return NamedServer(
            host=host,
            port=port,
            security="tls",
            username=username,
            host_field=f"{protocol}.host",
            port_field=f"{protocol}.port",
        )

    for username in ("ada", "bob"):
        (server, _), (fault, port_fault) = await vetting.vet(
            [
                named("Mail.test.example.com", username, "imap"),
                named("mail.test.example.com", username, "smtp", 465),
                named("127.0.0.1", username, "imap"),
                named("mail.test.example.com", username, "smtp", 25),
            ]
        )
        assert (server.host, server.username) == ("mail.test.example.com", username)
        assert (fault.field, port_fault.field) == ("imap.host", "smtp.port")
    _, [fault] = await vetting.vet([named("127.0.0.1", "eve", "smtp")])
    assert fault.field == "smtp.host"
    assert asked.counts == {"mail.test.example.com": 1}


async def test_silent_hosts_cost_the_import_its_time_and_no_more() -> None:
    hosts = HostsOfOneImport(Asked(), seconds=0.2)
    started = asyncio.get_running_loop().time()
    found = await asyncio.gather(
        *(hosts.addresses(f"silent{number}.test") for number in range(500)), return_exceptions=True
    )
    assert all(isinstance(each, TimeoutError) for each in found)
    with pytest.raises(TimeoutError):
        await hosts.addresses("late.test")
    assert asyncio.get_running_loop().time() - started < 2
