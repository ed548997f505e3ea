"""The mailboxes of the test servers: what works, and one user for each way in which a login fails."""

from collections.abc import Iterator
from typing import Final

__all__ = ["BULK_USERS", "PASSWORDS", "bulk_user", "passwd_file"]

BULK_USERS: Final = 1000

#: The password of each user. A user with any other password is refused, except `tempfail@`, `gone@` and `expired@`.
PASSWORDS: Final = {
    "alice@test.example": "correct horse",
    "bob@test.example": "b0b",
    "alice@nodmarc.example": "correct horse",
    "alice@brokenspf.example": "correct horse",
    "alice@lame.example": "correct horse",
    "alice@checkup.example": "correct horse",
    "quote@test.example": 'a"b\\c d',
    "utf8@test.example": "pässwörd-日本",
    "long@test.example": "x" * 2000,
    # two random halves around what every quoting treats in its own way: searched for in everything that is stored or logged
    "canary@test.example": '6b1f0c9ad2e84753"\\ é%+/=e07a5d41c8b3f296',
    "spam@test.example": "secret",  # mail to it arrives in Junk
    "lost@test.example": "secret",  # mail to it never arrives
    "disabled@test.example": "secret",  # NO [CONTACTADMIN], 525; Postfix accepts it: nologin is the matter of Dovecot's login
    "slow1@test.example": "secret",  # answers after 1 s; slowN@ is any number of seconds
    "slow3@test.example": "secret",
    "tempfail@test.example": "any",  # NO [UNAVAILABLE], 454
    "gone@test.example": "any",  # disabled without a reason
    "expired@test.example": "any",  # NO [EXPIRED]
}


def bulk_user(number: int) -> tuple[str, str]:
    """Address and password of one of the BULK_USERS, from 0."""
    return f"u{number:05d}@test.example", f"pw{number:05d}"


def passwd_file() -> str:
    """Dovecot's passwd-file with the users that it knows by password; the others are in failing.lua."""
    by_lua = ("slow", "tempfail", "gone", "expired")
    # the value of reason= ends at the first space
    extra = {"disabled@test.example": "nologin=yes reason=Account_disabled_by_administrator"}

    def lines() -> Iterator[str]:
        for address, password in [*PASSWORDS.items(), *(bulk_user(number) for number in range(BULK_USERS))]:
            if not address.startswith(by_lua):
                yield f"{address}:{{PLAIN}}{password}::::::{extra.get(address, '')}\n"

    return "".join(lines())
