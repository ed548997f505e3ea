"""The secrets of one mailbox or email workspace, in a type that does not give them away by accident."""

import json
from collections.abc import Iterable, Mapping
from typing import Final, Literal, Never, cast

__all__ = ["Credential", "MissingSecret", "SecretName", "UnusableSecret", "decode", "encode"]

#: `service_account_key` is Google's whole key file, `oauth_token` a token document; both are JSON texts.
SecretName = Literal["imap_password", "smtp_password", "client_secret", "service_account_key", "oauth_token"]

_MASK: Final = "***"


class MissingSecret(LookupError):
    """The credential does not hold a secret of that name. Post the account or the workspace again with it."""


class UnusableSecret(ValueError):
    """A secret is not text that UTF-8 can express. Send it as valid Unicode, without lone surrogates."""


class Credential:
    """Named secrets. Frozen; printed as `***`; neither picklable, copyable nor known to any serialiser.

    Args:
        secrets: the secrets by name; text of any length that the vault takes (64 kB together).

    Raises:
        UnusableSecret: a value cannot be expressed in UTF-8.
    """

    __slots__ = ("_secrets",)
    _secrets: dict[str, str]

    def __init__(self, secrets: Mapping[SecretName, str]) -> None:
        for name, value in secrets.items():
            try:
                value.encode()
            except UnicodeEncodeError:
                # not `from error`: the error carries the whole secret
                raise UnusableSecret(f"{name} is not valid Unicode; send it without lone surrogates") from None
        object.__setattr__(self, "_secrets", dict(secrets))

    def reveal(self, name: SecretName) -> str:
        """The secret itself. Call it where the secret goes on the wire, and keep the result no longer.

        Raises:
            MissingSecret: there is none of this name.
        """
        try:
            return self._secrets[name]
        except KeyError:
            raise MissingSecret(f"the credential holds no {name}, only {', '.join(self.names) or 'nothing'}") from None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the secrets, in order."""
        return tuple(sorted(self._secrets))

    def __repr__(self) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credential) and self._secrets == other._secrets

    __hash__ = None  # type: ignore[assignment]  # a dictionary keyed by secrets is never wanted

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError("a Credential is frozen; make a new one")

    def __delattr__(self, name: str) -> Never:
        raise AttributeError("a Credential is frozen; make a new one")

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("a Credential cannot be pickled or copied; seal it instead")

    def __dir__(self) -> Iterable[str]:
        return ["names", "reveal"]  # what debuggers and pretty printers walk


def encode(credential: Credential) -> bytes:
    """The plaintext that is sealed: a JSON document of the secrets."""
    return json.dumps(credential._secrets, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()  # noqa: SLF001 - the one way out


def decode(document: bytes) -> Credential:
    """Read the plaintext back. Names that a newer gateway made are kept."""
    return Credential(cast("dict[SecretName, str]", json.loads(document)))
