"""URLs: one reading, and what is ambiguous is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_net.urls import InvalidUrl, WebUrl


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/Hook?a=b", "https://example.com/Hook?a=b"),
        ("http://example.com:8080/x", "http://example.com:8080/x"),
        ("https://example.com?token=1", "https://example.com/?token=1"),
        ("https://example.com/späti/%C3%A4", "https://example.com/sp%C3%A4ti/%C3%A4"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443/"),
    ],
)
def test_urls_have_one_form(text: str, canonical: str) -> None:
    assert str(WebUrl.parse(text)) == canonical
    assert WebUrl.parse(canonical) == WebUrl.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://example.com@evil.example/",
        "https://example.com\\@evil.example/",
        "https://exa\tmple.com/",
        "https://example.com/\r\nX-Header: 1",
        "https://example.com/a b",
        "https://example.com/#fragment",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://[::1/",
        "https://example.com/\ud800",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidUrl) as refusal:
        WebUrl.parse(text)
    assert "evil" not in str(refusal.value)


def test_the_path_does_not_show_in_a_representation() -> None:
    assert "s3cret" not in repr(WebUrl.parse("https://example.com/?token=s3cret"))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        url = WebUrl.parse(f"https://{text}")
    except InvalidUrl:
        return
    assert WebUrl.parse(str(url)) == url
    assert str(url).isascii() or not url.host.isascii()
