"""Policies of MTA-STS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_dns_auditor.checks.mta_sts import MalformedPolicy, StsPolicy, parse_policy

SOUND = ["version: STSv1", "mode: enforce", "mx: mx1.example.com", "mx: *.example.net", "max_age: 604800"]


def test_a_sound_policy() -> None:
    expected = StsPolicy("enforce", 604800, ("mx1.example.com", "*.example.net"))

    assert parse_policy("\n".join(SOUND)) == parse_policy("\r\n".join([*SOUND, "other: ignored", ""])) == expected


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("mx1.example.com", True),
        ("mx2.example.com", False),
        ("a.example.net", True),
        ("a.b.example.net", False),
        ("example.net", False),
        ("xexample.net", False),
    ],
)
def test_a_star_is_one_label(host: str, covered: bool) -> None:
    assert parse_policy("\n".join(SOUND)).covers(host) == covered


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("version: STSv1", "version: STSv2", "version"),
        ("version: STSv1", "<html>", "without a colon"),
        ("mode: enforce", "mode: Enforce", "mode"),
        ("max_age: 604800", "max_age: 31557601", "max_age"),
        ("max_age: 604800", "max_age: ٣", "max_age"),
        ("mx: *.example.net", "mx: a.*.example.net", "not the name of a mail exchange"),
    ],
)
def test_what_senders_refuse(was: str, becomes: str, says: str) -> None:
    with pytest.raises(MalformedPolicy, match=says):
        parse_policy("\n".join(becomes if line == was else line for line in SOUND))


def test_mx_lines_are_needed_unless_it_is_switched_off() -> None:
    bare = [line for line in SOUND if not line.startswith("mx")]
    with pytest.raises(MalformedPolicy, match="no mx line"):
        parse_policy("\n".join(bare))

    assert parse_policy("\n".join(bare).replace("enforce", "none")).mx == ()


@given(st.lists(st.one_of(st.sampled_from(SOUND), st.text(max_size=30)), max_size=12).map("\n".join))
def test_any_text_is_a_policy_or_malformed(text: str) -> None:
    try:
        policy = parse_policy(text)
    except MalformedPolicy:
        return
    assert policy.mode == "none" or policy.mx
