"""The guard: which hosts and ports may be connected to under which policy."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_net import Address, HostGuard, HostNotFound, HostRefused, Policy, PortRefused


class Table:
    """Resolves from a table and counts the questions."""

    def __init__(self, **hosts: str) -> None:
        self.hosts = {name.replace("_", "."): addresses.split() for name, addresses in hosts.items()}
        self.asked: list[str] = []

    async def addresses(self, host: str) -> tuple[Address, ...]:
        self.asked.append(host)
        if host not in self.hosts:
            raise HostNotFound
        return tuple(map(ip_address, self.hosts[host]))


async def test_a_public_host_passes_with_its_addresses() -> None:
    table = Table(mail_example_com="93.184.216.34 2606:4700::1111")
    vetted = await HostGuard(table).vet("Mail.Example.com.", 993)
    assert (vetted.host, vetted.port) == ("mail.example.com", 993)
    assert vetted.addresses == (ip_address("93.184.216.34"), ip_address("2606:4700::1111"))
    assert table.asked == ["mail.example.com"]


@pytest.mark.parametrize("addresses", ["127.0.0.1", "93.184.216.34 10.0.0.1", "2606:4700::1111 ::ffff:169.254.169.254"])
async def test_one_bad_address_refuses_the_name(addresses: str) -> None:
    with pytest.raises(HostRefused) as refusal:
        await HostGuard(Table(mail_example_com=addresses)).vet("mail.example.com", 993)
    assert "BERTH_ALLOW_NETWORKS" in str(refusal.value)
    assert not any(address in str(refusal.value) for address in addresses.split())


async def test_an_allowed_network_lets_its_addresses_pass_beside_public_ones() -> None:
    policy = Policy.parse("10.0.0.0/8")
    guard = HostGuard(Table(mail_test="10.1.2.3 93.184.216.34", other_test="10.1.2.3 192.168.0.1"), policy)
    assert (await guard.vet("mail.test", 993)).addresses
    with pytest.raises(HostRefused):
        await guard.vet("other.test", 993)


@pytest.mark.parametrize("name", ["mail.internal", "dovecot", "mail.default.svc", "localhost"])
async def test_a_private_name_needs_all_its_addresses_in_allowed_networks(name: str) -> None:
    inside, outside = Table(), Table()
    inside.hosts[name], outside.hosts[name] = ["10.0.0.1"], ["10.0.0.1", "93.184.216.34"]
    with pytest.raises(HostRefused):
        await HostGuard(inside).vet(name, 993)
    assert inside.asked == []
    policy = Policy.parse("10.0.0.0/8")
    assert (await HostGuard(inside, policy).vet(name, 993)).host == name
    with pytest.raises(HostRefused):
        await HostGuard(outside, policy).vet(name, 993)


async def test_a_literal_address_passes_only_inside_an_allowed_network() -> None:
    guard = HostGuard(Table(), Policy.parse("10.0.0.0/8, fd00::/8"))
    vetted = await guard.vet("[fd00::0:1]", 143)
    assert (vetted.host, vetted.addresses) == ("fd00::1", (ip_address("fd00::1"),))
    for refused in ("93.184.216.34", "127.0.0.1", "::1"):
        with pytest.raises(HostRefused):
            await guard.vet(refused, 143)


@given(st.integers(min_value=-5, max_value=70000))
def test_only_mail_ports_and_the_operators_are_allowed(port: int) -> None:
    guard = HostGuard(Table(), Policy.parse(allow_ports="20143, 20993"))
    if port in {143, 465, 587, 993, 2525, 20143, 20993}:
        assert guard.check_port(port) == port
    else:
        with pytest.raises(PortRefused, match="BERTH_ALLOW_PORTS"):
            guard.check_port(port)


async def test_nothing_is_looked_up_for_a_refused_port_or_name() -> None:
    table = Table(mail_example_com="93.184.216.34")
    with pytest.raises(PortRefused):
        await HostGuard(table).vet("mail.example.com", 6379)
    with pytest.raises(HostRefused):
        await HostGuard(table).vet("127.0.0.1\0.example.com", 993)
    assert table.asked == []


@pytest.mark.parametrize(
    ("networks", "ports", "message"),
    [("10.0.0.1/8", "", "host bits set"), ("everything", "", "'everything'"), ("", "imap", "'imap'")],
)
def test_a_malformed_policy_is_refused(networks: str, ports: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Policy.parse(networks, ports)
