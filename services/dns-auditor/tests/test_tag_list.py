"""RFC 6376 §3.2."""

from hypothesis import given
from hypothesis import strategies as st

from berth_dns_auditor.checks.tag_list import Tag, parse_tags

_names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
_values = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters=";"), max_size=20)
_space = st.sampled_from(["", " ", "\t ", "  "])


@given(st.lists(st.tuples(_names, _values.map(str.strip)), min_size=1, max_size=10), _space, st.booleans())
def test_what_was_written_is_read(tags: list[tuple[str, str]], space: str, closed: bool) -> None:
    text = ";".join(f"{space}{name}{space}={space}{value}{space}" for name, value in tags) + (";" if closed else "")

    read = parse_tags(text)

    assert [(tag.name, tag.value) for tag in read.tags] == tags
    assert read.broken == ()


@given(st.text(st.characters(max_codepoint=255)))
def test_no_text_crashes_the_parser(text: str) -> None:
    read = parse_tags(text)

    assert len(read.tags) + len(read.broken) <= 100


def test_what_is_not_a_tag_is_kept_apart() -> None:
    read = parse_tags("v=1; nonsense; 1x=2; a=\x80; b=ok;;")

    assert read.tags == (Tag("v", "1"), Tag("b", "ok"))
    assert read.broken == ("nonsense", "1x=2", "a=\x80", "")


def test_names_are_folded_where_the_format_says_so() -> None:
    assert parse_tags("P=1; p=2").duplicates == ()
    assert parse_tags("P=1; p=2", fold_names=True).duplicates == ("p",)
