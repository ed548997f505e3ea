"""DMARC records beside another reader: checkdmarc, which follows RFC 9989 too."""

from typing import Any

from checkdmarc.dmarc import DMARCError, parse_dmarc_record  # type: ignore[import-untyped]  # it has no marker of types
from hypothesis import assume, given
from hypothesis import strategies as st

from berth_dns_auditor.checks.dmarc_record import parse_dmarc

_policies = st.sampled_from(["none", "quarantine", "reject", "Reject"])
_tags = st.one_of(
    st.tuples(st.sampled_from(["p", "sp", "np"]), st.one_of(_policies, st.just("monitor"))),
    st.tuples(st.sampled_from(["adkim", "aspf"]), st.sampled_from(["r", "s"])),
    st.tuples(st.just("psd"), st.sampled_from(["y", "n", "u"])),
    st.tuples(st.just("t"), st.sampled_from(["y", "n"])),
    st.tuples(st.just("pct"), st.sampled_from(["0", "100"])),
    st.tuples(st.just("x"), st.just("y")),
)


def other(text: str) -> dict[str, Any] | None:
    """What the other reader makes of a record: the values of its tags with the defaults, None where it refuses it."""
    try:
        tags = parse_dmarc_record(text, "example.com")["tags"]
    except DMARCError:
        return None
    return {name: tag["value"] for name, tag in tags.items()}


@given(st.one_of(_policies, st.none()), st.lists(_tags, max_size=5))
def test_both_read_the_same_policies(policy: str | None, tags: list[tuple[str, str]]) -> None:
    names = [name for name, _ in tags]
    assume(names.count("x") < 2)  # the other reader does not mind a tag twice that it does not know
    written = [("p", policy), *tags] if policy else tags
    text = "; ".join(["v=DMARC1", *(f"{name}={value}" for name, value in written)])
    ours, theirs = parse_dmarc(text), other(text)

    if theirs is None or not ours.processed:
        # The one difference: without p and rua no policy is applied (§4.7), which the other reader takes for p=none.
        assert theirs is None or not any(name == "p" for name, _ in written)
        assert not ours.processed
        return
    assert ours.asked(inherited=False, exists=True) == theirs["p"]
    assert ours.asked(inherited=True, exists=True) == theirs["sp"]
    assert ours.asked(inherited=True, exists=False) == theirs["np"]
    assert (ours.adkim, ours.aspf, ours.psd) == (theirs["adkim"], theirs["aspf"], theirs["psd"])
    assert ours.testing == (theirs["t"] == "y")
