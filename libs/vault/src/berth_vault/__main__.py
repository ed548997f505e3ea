"""Key management: `python -m berth_vault generate-key` and `python -m berth_vault rotate`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

import asyncpg

from berth_vault.keys import InvalidKey, generate_key
from berth_vault.rotation import rotate
from berth_vault.sealing import Opener
from berth_vault.table import VaultReader

_CONNECT_TIMEOUT_S = 10.0
_COMMAND_TIMEOUT_S = 60.0
_SHOWN = 20


class MissingSetting(LookupError):
    """An environment variable is not set. Set it and run the command again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m berth_vault", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    generate = commands.add_parser("generate-key", help="print a new key pair; the private key is printed nowhere else")
    generate.add_argument("--key-id", help="name of the pair (default: derived from the public key)")
    commands.add_parser(
        "rotate",
        help="seal every credential anew with the last of BERTH_VAULT_PRIVATE_KEYS, in VAULT_DATABASE_URL",
    )
    options = parser.parse_args(arguments)
    try:
        return _generate(options.key_id) if options.command == "generate-key" else asyncio.run(_rotate())
    except (InvalidKey, MissingSetting) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _generate(key_id: str | None) -> int:
    pair = generate_key(key_id)
    print("# the gateways:")
    print(f"BERTH_VAULT_PUBLIC_KEY={pair.public_text}")
    print("# the connectors (secret; when rotating, append it to the older ones behind a comma):")
    print(f"BERTH_VAULT_PRIVATE_KEYS={pair.private_text}")
    return 0


async def _rotate() -> int:
    reader = VaultReader(Opener.from_text(_setting("BERTH_VAULT_PRIVATE_KEYS")))
    connection = await asyncpg.connect(
        _setting("VAULT_DATABASE_URL"), timeout=_CONNECT_TIMEOUT_S, command_timeout=_COMMAND_TIMEOUT_S
    )
    try:
        done = await rotate(connection, reader)
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)
    print(f"sealed anew: {done.resealed}, left with an older key: {done.remaining}")
    for credential_id, version in done.unreadable[:_SHOWN]:
        print(f"does not open: credential {credential_id} version {version}", file=sys.stderr)
    if done.remaining:
        print("keep the older keys; see that every gateway has the new public key, then run it again", file=sys.stderr)
    return 1 if done.remaining else 0


def _setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise MissingSetting(f"{name} is not set; set it in the environment of this command")
    return value


if __name__ == "__main__":
    sys.exit(main())
