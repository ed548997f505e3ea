"""Which addresses are on the public Internet."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_net.addresses import in_networks, is_routable, unwrap

LOCAL_NETWORKS = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/96", "::ffff:10.0.0.0/104", "::ffff:127.0.0.0/104", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23",
    "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip


@given(st.sampled_from(LOCAL_NETWORKS).map(ip_network).flatmap(lambda network: st.ip_addresses(network=network)))
def test_no_address_of_a_special_network_is_routable(address: IPv4Address | IPv6Address) -> None:
    assert not is_routable(address)


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "93.184.216.34",
        "192.0.1.1",
        "168.63.129.17",
        "2606:4700::1111",
        "2a00:1450:4001::5",
        "::ffff:8.8.8.8",
    ],
)
def test_public_addresses_are_routable(text: str) -> None:
    assert is_routable(ip_address(text))


def test_an_address_with_a_scope_is_not_routable() -> None:
    assert not is_routable(IPv6Address("2606:4700::1111%eth0"))


@given(st.ip_addresses(v=4))
def test_mapping_into_ipv6_changes_nothing(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    assert unwrap(mapped) == address
    assert is_routable(mapped) == is_routable(address)
    assert in_networks(mapped, [ip_network(f"{address}/32")])


@given(st.ip_addresses(v=4), st.integers(0, 2**32 - 1))
def test_no_tunnel_or_translation_is_routable_whatever_it_leads_to(address: IPv4Address, rest: int) -> None:
    four = int(address)
    for carried in (
        four,  # IPv4-compatible (RFC 4291)
        0xFFFF_0000 << 32 | four,  # translated (RFC 2765)
        0x64FF9B << 96 | four,  # NAT64 (RFC 6052)
        0x64FF9B0001 << 80 | rest << 32 | four,  # local NAT64 (RFC 8215)
        0x2002 << 112 | four << 80 | rest,  # 6to4 (RFC 3056)
        0x20010000 << 96 | rest << 64 | (four ^ 0xFFFFFFFF),  # Teredo (RFC 4380)
    ):
        assert not is_routable(IPv6Address(carried)), IPv6Address(carried)


@given(st.ip_addresses(v=4), st.ip_addresses(v=6))
def test_an_address_lies_only_in_networks_of_its_own_version(four: IPv4Address, six: IPv6Address) -> None:
    assert not in_networks(four, [IPv6Network("::/0")])
    assert in_networks(six, [IPv6Network("::/0")]) is (six.ipv4_mapped is None)
