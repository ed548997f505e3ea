"""One DMARC record: RFC 9989 §4.7 and §4.8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_dns_auditor.checks.dmarc_record import is_dmarc, parse_dmarc

RUA = "rua=mailto:d@example.com"


@pytest.mark.parametrize("text", ["v=DMARC1", "v=DMARC1;p=none", "V \t= DMARC1 ; p=none", "v=DMARC1; "])
def test_dmarc_records(text: str) -> None:
    assert is_dmarc(text)


@pytest.mark.parametrize("text", ["v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC10", " v=DMARC1", "v=DMARC1 p=none"])
def test_other_texts(text: str) -> None:
    assert not is_dmarc(text)


@pytest.mark.parametrize(
    ("tags", "policy", "processed", "faults"),
    [
        (f"p=reject; {RUA}", "reject", True, []),
        (f"P=Reject; {RUA}", "reject", True, []),
        (
            f"{RUA}; p=quarantine; sp=none; np=reject; t=n; psd=u; adkim=s; aspf=r",
            "quarantine",
            True,
            ["DMARC_P_NOT_SECOND"],
        ),
        (RUA, None, True, ["DMARC_P_MISSING"]),
        ("adkim=r", None, False, ["DMARC_P_MISSING", "DMARC_NO_RUA"]),
        (f"p=rejekt; {RUA}", "none", True, ["DMARC_P_INVALID"]),
        ("p=rejekt", None, False, ["DMARC_P_INVALID", "DMARC_NO_RUA"]),
        (f"p=reject; sp=x; {RUA}", "none", True, ["DMARC_P_INVALID"]),
        ("p=reject; np=x", "reject", False, ["DMARC_P_INVALID", "DMARC_NO_RUA"]),
        (f"p=none; p=reject; {RUA}", "none", False, ["DMARC_DUPLICATE_TAG"]),
        (f"p=none; nonsense; {RUA}", "none", True, ["DMARC_SYNTAX_ERROR"]),
        (
            f"p=none; {RUA}; pct=50; rf=afrf",
            "none",
            True,
            ["DMARC_REMOVED_TAG", "DMARC_PCT_PARTIAL", "DMARC_REMOVED_TAG"],
        ),
        (f"p=none; {RUA}; pct=100", "none", True, ["DMARC_REMOVED_TAG"]),
        (f"p=none; {RUA}!10m", "none", True, ["DMARC_REMOVED_TAG"]),
        (f"p=none; {RUA}; x=1", "none", True, ["DMARC_UNKNOWN_TAG"]),
        (f"p=none; {RUA}; adkim=x; t=maybe", "none", True, ["DMARC_INVALID_VALUE", "DMARC_INVALID_VALUE"]),
        (f"p=none; {RUA}; fo=0:1; ruf=mailto:x@example.com", "none", True, ["DMARC_INVALID_VALUE"]),
        (f"p=none; {RUA}; fo=1:d:s", "none", True, ["DMARC_FO_WITHOUT_RUF"]),
        ("p=none; rua=https://example.com/dmarc", "none", True, ["DMARC_RUA_INVALID"]),
        ("p=none; rua=d@example.com", "none", True, ["DMARC_RUA_INVALID"]),
        ("rua=d@example.com", None, False, ["DMARC_P_MISSING", "DMARC_RUA_INVALID"]),
    ],
)
def test_tags(tags: str, policy: str | None, processed: bool, faults: list[str]) -> None:
    record = parse_dmarc(f"v=DMARC1; {tags}")

    assert (record.p, record.processed) == (policy, processed)
    assert [fault.code for fault in record.faults] == faults


def test_report_addresses() -> None:
    record = parse_dmarc("v=DMARC1; p=none; rua=mailto:a@One.example , MAILTO:b@two.example!5k,mailto:none,ftp://x")

    assert [(address.domain, address.valid) for address in record.rua] == [
        ("one.example", True),
        ("two.example", True),
        (None, False),
        (None, True),
    ]


@pytest.mark.parametrize(
    ("tags", "inherited", "exists", "policy"),
    [
        ("p=reject; sp=quarantine; np=none", False, True, "reject"),
        ("p=reject; sp=quarantine; np=none", True, True, "quarantine"),
        ("p=reject; sp=quarantine; np=none", True, False, "none"),
        ("p=reject; sp=quarantine", True, False, "quarantine"),
        ("p=reject; np=none", True, True, "reject"),
        ("p=reject", True, False, "reject"),
    ],
)
def test_the_policy_for_a_domain_and_for_those_below_it(tags: str, inherited: bool, exists: bool, policy: str) -> None:
    assert parse_dmarc(f"v=DMARC1; {tags}").asked(inherited=inherited, exists=exists) == policy


@given(st.text(st.characters(max_codepoint=255), max_size=100))
def test_no_text_crashes_the_parser(text: str) -> None:
    record = parse_dmarc(f"v=DMARC1; {text}")

    assert record.processed or record.faults, "a record that is not applied has a reason"


_policies = st.sampled_from(["none", "quarantine", "reject"])


@given(p=_policies, sp=st.none() | _policies, np=st.none() | _policies, t=st.none() | st.sampled_from("yn"))
def test_what_was_written_is_read(p: str, sp: str | None, np: str | None, t: str | None) -> None:
    tags = {"p": p, "sp": sp, "np": np, "t": t}
    record = parse_dmarc(
        "v=DMARC1; " + "; ".join(f"{name}={value}" for name, value in tags.items() if value) + "; " + RUA
    )

    assert (record.p, record.sp, record.np, record.testing) == (p, sp, np, t == "y")
    assert record.faults == ()
