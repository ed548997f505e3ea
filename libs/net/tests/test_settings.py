"""Name servers, networks and ports from the environment."""

import pytest
from pydantic import ValidationError

from berth_net import Policy
from berth_net.settings import HostSettings


def test_without_any_it_is_the_system_and_the_internet() -> None:
    settings = HostSettings()

    assert settings.berth_dns_servers == ()
    assert settings.policy() == Policy()


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_DNS_SERVERS", "127.0.0.1:5353, [2001:db8::1]:53,")
    monkeypatch.setenv("BERTH_ALLOW_NETWORKS", "10.0.0.0/8, fd00::/8")
    monkeypatch.setenv("BERTH_ALLOW_PORTS", "20143,20993")

    settings = HostSettings()

    assert settings.berth_dns_servers == ("127.0.0.1:5353", "[2001:db8::1]:53")
    assert settings.policy() == Policy.parse("10.0.0.0/8,fd00::/8", "20143,20993")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BERTH_DNS_SERVERS", "127.0.0.1:x"),
        ("BERTH_DNS_SERVERS", "dns.example"),
        ("BERTH_ALLOW_NETWORKS", "10.0.0.1/8"),
        ("BERTH_ALLOW_PORTS", "imaps"),
    ],
)
def test_what_is_wrong_is_named_before_anything_starts(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)

    with pytest.raises(ValidationError, match=name.lower()):
        HostSettings()
