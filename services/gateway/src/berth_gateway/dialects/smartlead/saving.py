"""`save` and `save-oauth`: an account is kept whether it works or not, and the answer says which."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from berth_gateway.accounts.commands import ConnectAccount
from berth_gateway.accounts.connecting import Connect, Connecting
from berth_gateway.accounts.mailboxes import Tenant
from berth_gateway.dialects.smartlead.presentation import oauth_saved, reason, saved
from berth_gateway.dialects.smartlead.refusals import account_exists, account_not_found, invalid
from berth_gateway.dialects.smartlead.requests import SaveOAuthRequest, SaveRequest
from berth_gateway.dialects.smartlead.translation import mailbox_of, names_of, provider_of, saved_change_of
from berth_gateway.errors import AddressTaken, InvalidFields, NotFound, Unavailable

if TYPE_CHECKING:
    from berth_events.runtime.database import Pool
    from berth_events.runtime.store import Context
    from berth_gateway.accounts.attempts import Attempt
    from berth_gateway.accounts.repository import AccountRepository
    from berth_gateway.accounts.servers import ServerVetting
    from berth_gateway.accounts.views import AccountView

__all__ = ["Saved", "Saving"]


@dataclass(frozen=True, slots=True)
class Saved:
    """What is answered, and whether the account works."""

    works: bool
    body: dict[str, Any]


class Saving:
    """The calls' course: accept, wait, answer.

    Args:
        pool: the gateway's database.
        vetting: refuses hosts.
        connecting: accepts, and waits for results.
        repository: reads accounts.
    """

    def __init__(
        self, pool: "Pool", vetting: "ServerVetting", connecting: Connecting, repository: "AccountRepository"
    ) -> None:
        self._pool, self._vetting, self._connecting, self._repository = pool, vetting, connecting, repository

    async def save(self, form: SaveRequest | SaveOAuthRequest, tenant: Tenant, context: "Context") -> Saved:
        """Serve one request.

        Raises:
            Refused: faults of the fields; no account of this id, or one that has the address.
            InvalidFields: servers that are refused.
            SubscriptionRequired, SeatLimitReached: there is no seat for it.
            StillVerifying: no result within the deadline.
            Unavailable: the account that had the address has gone meanwhile.
        """
        first_name, last_name = names_of(form.from_name)
        command = ConnectAccount(
            mailbox=await mailbox_of(form, self._vetting),
            provider=provider_of(form.type),
            first_name=first_name,
            last_name=last_name,
            seat_kind="monitoring",
            on_failure="keep",
            change=saved_change_of(form),
            suspended=form.is_suspended,
        )
        updated = form.id is not None
        connect = Connect(command=command, existing="replace" if updated else "retry", number=form.id)
        attempt = await self._begin(connect, tenant, context)
        verification = await self._connecting.result(attempt)
        view = await self._view(tenant, attempt.account_id)
        if view is None:
            raise account_not_found(form.id)
        if verification.outcome == "failed":
            return Saved(works=False, body=reason(verification, view.number, token=form.token is not None))
        shown = oauth_saved if isinstance(form, SaveOAuthRequest) else saved
        return Saved(works=True, body=shown(view, updated=updated))

    async def _begin(self, connect: Connect, tenant: Tenant, context: "Context") -> "Attempt":
        try:
            return await self._connecting.begin(connect, tenant, context)
        except NotFound:
            raise account_not_found(connect.number) from None
        except InvalidFields:  # the one fault that is left: the account of the id has another address
            raise invalid(["from_email is not that of the account; another address is an account of its own"]) from None
        except AddressTaken as error:
            view = await self._view(tenant, UUID(error.members["account_id"]))
            if view is None:  # it has gone meanwhile
                raise Unavailable from None
            raise account_exists(view.number) from None

    async def _view(self, tenant: Tenant, account_id: UUID | None) -> "AccountView | None":
        if account_id is None:
            return None
        async with self._pool.acquire() as connection:
            return await self._repository.find(connection, tenant.project_id, account_id)
