"""A customer of the platform: an organization with a project, a key, and an HTTP client that presents it."""

from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from berth_testing.waiting import eventually

__all__ = ["Tenant"]

_SETTLED_WITHIN_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """An organization with one project.

    Attributes:
        key: the project's API key.
        http: speaks to the gateway with the key.
    """

    organization_id: str
    project_id: str
    key: str = field(repr=False)
    http: httpx.AsyncClient

    async def connect(self, **account: Any) -> str:
        """Post an account, which has to be accepted; its id."""
        response = await self.http.post("/v1/accounts", json=account)
        if response.status_code != httpx.codes.ACCEPTED:
            raise AssertionError(f"{account.get('email')}: {response.status_code} {response.text}")
        return response.headers["Location"].rpartition("/")[2]

    async def account(self, account_id: str) -> dict[str, Any]:
        """The account as it is now."""
        response = await self.http.get(f"/v1/accounts/{account_id}")
        body: dict[str, Any] = response.raise_for_status().json()
        return body

    async def settled(self, account_id: str, *, within: float = _SETTLED_WITHIN_S) -> dict[str, Any]:
        """The account as soon as its verification is over, `within` seconds at most."""
        return await eventually(
            lambda: self.account(account_id), lambda account: account["status"] != "pending", within=within
        )
