"""What findings propose to publish: whatever was there, the proposal is in the grammar."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from berth_dns_auditor.checks.dkim_key import parse_dkim
from berth_dns_auditor.checks.dkim_mend import mended_key
from berth_dns_auditor.checks.dmarc_mend import mended_dmarc, strictest
from berth_dns_auditor.checks.dmarc_record import is_dmarc, parse_dmarc
from berth_dns_auditor.checks.spf_check_host import check_host
from berth_dns_auditor.checks.spf_grammar import is_spf, parse_spf
from berth_dns_auditor.checks.spf_mend import mended, merged, split_up
from berth_dns_auditor.resolver import Answer, Rdtype

_latin = st.text(st.characters(max_codepoint=255), max_size=80)
_pieces = st.lists(
    st.sampled_from(
        ["a", "mx", "-all", "~all", "+all", "all:x", "ipv4:1.2.3.4", "ip4:1.2.3.0/033", "ip6:::/129", "include:", "ptr",
         "a:1.2.3.4", "include=a.example", "redirect:b.example", "redirect=b.example", "exp=c.example", "exp=d.example",
         "exists:%{c}.x", "mx/24/64", "x=50%", "caf\xe9.example", "\x93mx\x94", "-all.", "MX", "ip4:1.2.3.4\tmx", '"a"']
    ),
    max_size=12,
).map(" ".join)  # fmt: skip


@given(st.one_of(_latin, _pieces), st.sampled_from(["", "~all", "-all"]))
def test_a_mended_spf_record_is_valid(text: str, ending: str) -> None:
    once = mended(parse_spf(f"v=spf1 {text}"), {}, ending=ending)
    record = parse_spf(once)

    assert is_spf(once)
    assert record.issues == ()
    assert len({term.text.lower() for term in record.terms}) == len(record.terms)
    assert mended(record, {}, ending=ending) == once
    assert not ending or (record.all is not None and record.all.text == ending)


@given(_pieces, _pieces)
def test_merged_records_are_one_valid_record(first: str, second: str) -> None:
    record = parse_spf(merged([parse_spf(f"v=spf1 {first}"), parse_spf(f"v=spf1 {second}")]))

    assert record.issues == ()
    assert record.all is not None
    assert record.all.qualifier != "+"


@settings(max_examples=20)
@given(st.lists(st.ip_addresses(v=4), min_size=30, max_size=60, unique=True))
def test_a_long_record_is_split_without_loss(addresses: list[object]) -> None:
    terms = [f"ip4:{address}" for address in addresses]
    changes = split_up("example.com", parse_spf(" ".join(["v=spf1", *terms, "-all"])))

    assert all(change.value and len(change.value) <= 450 for change in changes)
    below = [term for change in changes[1:] for term in (change.value or "").split(" ")[1:-1]]
    assert below == terms
    assert (changes[0].value or "").split(" ")[1:-1] == [f"include:{change.name}" for change in changes[1:]]


_tags = st.lists(
    st.sampled_from(
        ["p=none", "p=rejekt", "p=REJECT", "sp=none", "np=x", "rua=mailto:a@b.example", "rua=a@b.example", "rua=x",
         "ruf=mailto:a@b.example", "fo=1", "fo=0:1", "fo=1:d:s", "pct=5", "t=y", "t=maybe", "psd=n", "adkim=s", "x=1", "junk"]
    ),
    max_size=8,
).map("; ".join)  # fmt: skip


@given(st.one_of(_latin, _tags), st.sampled_from(["v=DMARC1; ", "v=dmarc1;", '"v=DMARC1;', ""]))
@example("p=none; rua=mailto:a@b.example!10m,ftp://x", "v=DMARC1; ")
def test_a_mended_dmarc_record_is_applied(text: str, start: str) -> None:
    once = mended_dmarc(start + text, "example.com", {"rua": "mailto:dmarc@example.com"})
    record = parse_dmarc(once)

    assert is_dmarc(once)
    assert record.processed
    assert record.faults == ()
    assert mended_dmarc(once, "example.com") == once


def test_the_strictest_record_is_kept() -> None:
    texts = ("v=DMARC1; p=none", "v=DMARC1; p=reject", "v=DMARC1; p=quarantine", "v=DMARC1; p=reject; p=reject")

    assert strictest(texts).text == "v=DMARC1; p=reject"


@given(_latin)
def test_a_mended_key_has_fewer_faults(text: str) -> None:
    mend = mended_key(text)

    if mend:
        record, key = mend
        assert parse_dkim(record) == key
        assert len(key.faults) < len(parse_dkim(text).faults)


_flags = st.lists(st.sampled_from(["s", "x"]), unique=True)
_hashes = st.lists(st.sampled_from(["sha1", "other"]), unique=True).map(lambda found: [*found, "sha256"])
_services = st.lists(st.sampled_from(["tlsrpt", "*"]), unique=True).map(lambda found: [*found, "email"])


@given(
    st.none() | _flags, st.none() | _hashes, st.none() | _services, st.booleans(), st.sampled_from(["; ", ";", " ;\t"])
)
def test_a_sound_key_is_left_as_it_is(
    flags: list[str] | None, hashes: list[str] | None, services: list[str] | None, version: bool, separator: str
) -> None:
    tags = {"t": flags, "h": hashes, "s": services}
    written = [f"{name}={':'.join(values)}" for name, values in tags.items() if values]
    text = separator.join([*(["v=DKIM1"] if version else []), "k=ed25519", *written, "p=" + "A" * 43 + "="])

    assert parse_dkim(text).faults == ()
    assert mended_key(text) is None


@given(st.one_of(_latin, _pieces), st.ip_addresses(), st.text(max_size=20), st.text(max_size=20))
async def test_check_host_has_a_result_whatever_zone_and_client_say(
    text: str, address: object, local: str, helo: str
) -> None:
    class Hostile:
        async def query(self, name: str, rdtype: Rdtype) -> Answer:
            records = {"TXT": f"v=spf1 {text}", "MX": f"10 {text.strip()}", "PTR": text, "A": "8.8.4.4", "AAAA": "::1"}
            return Answer(name, rdtype, records=(records[rdtype],))

    verdict = await check_host(Hostile(), str(address), "example.com", f"{local}@example.com", helo)

    assert verdict.lookups <= 11
    assert all(" " <= char <= "~" for char in verdict.reason)
