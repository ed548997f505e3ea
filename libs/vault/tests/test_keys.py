"""The text form of keys, and the commands."""

import os
import re
import subprocess
import sys

import pytest

from berth_vault import InvalidKey, Opener, Sealer, generate_key, parse_private_keys, parse_public_key

ONE, TWO = generate_key("k1"), generate_key("k2")


def test_a_pair_belongs_together() -> None:
    key_id, public = parse_public_key(ONE.public_text)
    (private,) = parse_private_keys(ONE.private_text).values()
    assert key_id == ONE.key_id == "k1"
    assert private.public_key().public_bytes_raw() == public.public_bytes_raw()


def test_a_pair_is_named_after_its_public_key_by_default() -> None:
    first, second = generate_key(), generate_key()
    assert re.fullmatch(r"k[0-9a-f]{8}", first.key_id)
    assert first.key_id != second.key_id


def test_private_keys_keep_their_order_and_blanks_do_not_matter() -> None:
    assert list(parse_private_keys(f" {TWO.private_text} ,\n{ONE.private_text}")) == ["k2", "k1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "key 1 has no id; write it as ID:BASE64"),
        (ONE.private_text + ",", "key 2 has no id"),
        (ONE.private_text.partition(":")[2], "key 1 has no id"),
        ("K1:" + "A" * 43 + "=", "a key id is 1 to 32 of"),
        (":" + "A" * 43 + "=", "a key id is 1 to 32 of"),
        ("k1:", "base64 of 32 bytes"),
        ("k1:" + "A" * 42, "base64 of 32 bytes"),
        ("k1:" + "A" * 44, "base64 of 32 bytes"),
        ("k1:" + "!" * 44, "base64 of 32 bytes"),
        ("k1:" + "é" * 44, "base64 of 32 bytes"),
        (f"{ONE.private_text},{ONE.private_text}", "key k1 is given twice"),
    ],
)
def test_a_malformed_key_is_refused_without_showing_it(text: str, message: str) -> None:
    with pytest.raises(InvalidKey, match=message) as caught:
        parse_private_keys(text)
    assert ONE.private_text.partition(":")[2] not in str(caught.value)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "VAULT_"))}
    return subprocess.run(
        [sys.executable, "-m", "berth_vault", *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_generate_key_prints_lines_for_the_environment() -> None:
    done = run("generate-key", "--key-id", "2026-a")
    settings = dict(line.split("=", 1) for line in done.stdout.splitlines() if not line.startswith("#"))
    assert done.returncode == 0
    assert Sealer.from_text(settings["BERTH_VAULT_PUBLIC_KEY"]).key_id == "2026-a"
    assert Opener.from_text(settings["BERTH_VAULT_PRIVATE_KEYS"]).newest_sealer().key_id == "2026-a"


def test_generate_key_refuses_a_malformed_id() -> None:
    done = run("generate-key", "--key-id", "a:b")
    assert done.returncode == 2
    assert done.stderr.startswith("error: a key id is")


def test_rotate_names_the_setting_it_misses() -> None:
    assert "BERTH_VAULT_PRIVATE_KEYS is not set" in run("rotate").stderr
    missing = run("rotate", BERTH_VAULT_PRIVATE_KEYS=ONE.private_text)
    assert (missing.returncode, "VAULT_DATABASE_URL is not set" in missing.stderr) == (2, True)
    broken = run("rotate", BERTH_VAULT_PRIVATE_KEYS="k1:AAAA", VAULT_DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert (broken.returncode, "base64 of 32 bytes" in broken.stderr) == (2, True)
