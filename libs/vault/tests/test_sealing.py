"""What is sealed for a row opens with the connector's key, for that row."""

from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_vault import (
    Binding,
    CannotOpen,
    Credential,
    CredentialTooLarge,
    InvalidKey,
    Opener,
    Sealer,
    generate_key,
    parse_public_key,
)
from berth_vault.sealing import key_id_of

PAIR = generate_key("k1")
SEALER = Sealer.from_text(PAIR.public_text)
OPENER = Opener.from_text(PAIR.private_text)
PASSWORD = Credential({"imap_password": "a password"})

texts = st.text(st.characters(exclude_categories=["Cs"]))
names = st.sampled_from(["imap_password", "smtp_password", "client_secret", "service_account_key", "oauth_token"])
bindings = st.builds(
    Binding,
    organization_id=st.uuids(),
    owner_id=st.uuids(),
    credential_id=st.uuids(),
    version=st.integers(1, 2**31 - 1),
)


@given(secrets=st.dictionaries(names, texts), binding=bindings)
def test_opens_what_was_sealed(secrets: dict, binding: Binding) -> None:
    assert OPENER.open(SEALER.seal(Credential(secrets), binding), binding) == Credential(secrets)


@pytest.mark.parametrize("character", ["x", "ß", "パ", "🔑", "\0", '"', "\\"])
def test_opens_two_thousand_characters(character: str, binding: Binding) -> None:
    long = Credential({"imap_password": character * 2000, "smtp_password": character * 2000})
    assert OPENER.open(SEALER.seal(long, binding), binding) == long


def test_refuses_more_than_the_length_field_can_say(binding: Binding) -> None:
    overhead = len('{"oauth_token":""}')
    largest = Credential({"oauth_token": "x" * (65_535 - overhead)})
    assert OPENER.open(SEALER.seal(largest, binding), binding) == largest
    with pytest.raises(CredentialTooLarge, match="65536 bytes, 65535 are allowed"):
        SEALER.seal(Credential({"oauth_token": "x" * (65_536 - overhead)}), binding)


def test_the_length_of_a_password_does_not_show(binding: Binding) -> None:
    def size(length: int) -> int:
        return len(SEALER.seal(Credential({"imap_password": "x" * length}), binding))

    assert {size(length) for length in range(43)} == {1 + 1 + 2 + 112}
    assert size(43) == 1 + 1 + 2 + 112 + 64


def test_sealing_twice_shows_no_equality(binding: Binding) -> None:
    assert SEALER.seal(PASSWORD, binding) != SEALER.seal(PASSWORD, binding)


@pytest.mark.parametrize(
    "elsewhere", [{"organization_id": uuid4()}, {"owner_id": uuid4()}, {"credential_id": uuid4()}, {"version": 2}]
)
def test_does_not_open_in_another_row(elsewhere: dict, binding: Binding) -> None:
    with pytest.raises(CannotOpen, match="altered or belongs to another row"):
        OPENER.open(SEALER.seal(PASSWORD, binding), replace(binding, **elsewhere))


def test_the_ids_of_a_binding_cannot_be_swapped(binding: Binding) -> None:
    swapped = replace(binding, organization_id=binding.owner_id, owner_id=binding.organization_id)
    with pytest.raises(CannotOpen):
        OPENER.open(SEALER.seal(PASSWORD, binding), swapped)


@given(data=st.data(), binding=bindings)
def test_an_altered_byte_is_noticed(data: st.DataObject, binding: Binding) -> None:
    sealed = bytearray(SEALER.seal(PASSWORD, binding))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CannotOpen):
        OPENER.open(bytes(sealed), binding)


@given(sealed=st.binary(max_size=200), binding=bindings)
def test_anything_else_is_refused(sealed: bytes, binding: Binding) -> None:
    with pytest.raises(CannotOpen):
        OPENER.open(sealed, binding)
    with pytest.raises(CannotOpen):
        OPENER.open(b"\x01\x02k1" + sealed, binding)


def test_an_unknown_key_is_named(binding: Binding) -> None:
    sealed = Sealer.from_text(generate_key("k9").public_text).seal(PASSWORD, binding)
    assert key_id_of(sealed) == "k9"
    with pytest.raises(CannotOpen, match=r"sealed with key k9; add it to BERTH_VAULT_PRIVATE_KEYS"):
        OPENER.open(sealed, binding)


def test_another_key_of_the_same_id_does_not_open(binding: Binding) -> None:
    with pytest.raises(CannotOpen, match="altered"):
        Opener.from_text(generate_key("k1").private_text).open(SEALER.seal(PASSWORD, binding), binding)


def test_the_last_private_key_is_the_newest(binding: Binding) -> None:
    newer = generate_key("k2")
    opener = Opener.from_text(f"{PAIR.private_text},{newer.private_text}")
    assert opener.open(SEALER.seal(PASSWORD, binding), binding) == PASSWORD
    resealed = opener.newest_sealer().seal(PASSWORD, binding)
    assert key_id_of(resealed) == "k2"
    assert Opener.from_text(newer.private_text).open(resealed, binding) == PASSWORD


def test_a_public_key_that_nothing_can_be_sealed_to_is_refused_at_the_start() -> None:
    _, degenerate = parse_public_key("k1:" + "A" * 43 + "=")
    with pytest.raises(InvalidKey, match="degenerate"):
        Sealer(degenerate, "k1")


def test_an_opener_needs_a_key() -> None:
    with pytest.raises(InvalidKey, match="no private key"):
        Opener({})


def test_errors_and_reprs_show_no_secret(binding: Binding) -> None:
    private = PAIR.private_text.partition(":")[2]
    with pytest.raises(CannotOpen) as caught:
        OPENER.open(SEALER.seal(PASSWORD, binding), replace(binding, version=2))
    for text in (str(caught.value), repr(OPENER), repr(SEALER), repr(PAIR)):
        assert "a password" not in text
        assert private not in text
