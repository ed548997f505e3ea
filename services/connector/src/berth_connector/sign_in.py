"""How an account signs in: with passwords of its own, or with an access token that its email workspace gets."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from berth_connector.oauth import IMAP_ROLE, SMTP_ROLE, TokenSource, WorkspaceKey
from berth_connector.probe import Fault, Login, TokenGrant
from berth_connector.requests import VerificationRequest
from berth_connector.workspaces import repository as workspaces
from berth_connector.workspaces.worker import open_credential
from berth_events.contracts import Diagnosis, MailServer
from berth_vault import Binding, Credential, CredentialErased

if TYPE_CHECKING:
    from berth_events.runtime.database import Pool
    from berth_vault import VaultReader

__all__ = ["Erased", "NotYet", "Ready", "SignIn", "Via"]

#: A proof takes a request or two.
_PROOF_PAUSE: Final = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class Via:
    """The email workspace that an account signs in through, with which credential, and whether it is paused."""

    workspace_id: UUID
    key: WorkspaceKey
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """All that a sign-in takes.

    Attributes:
        request: with the version of the credential that is used.
        imap: None when it is not tried.
        smtp: likewise.
        grant: gives the access token that takes the place of both passwords; None: they are right as they are.
        via: the workspace, if there is one.
    """

    request: VerificationRequest
    imap: Login | None
    smtp: Login | None
    grant: TokenGrant | None = None
    via: Via | None = None


@dataclass(frozen=True, slots=True)
class Erased:
    """The older version of the workspace's credential, with which accounts went on, is gone."""

    via: Via


@dataclass(frozen=True, slots=True)
class NotYet:
    """The account's workspace has not arrived, because topics have no common order; or it is just being proven."""

    pause: timedelta = timedelta(seconds=2)


class SignIn:
    """Opens credentials.

    Args:
        pool: the connector's database.
        vault_pool: the database with the vault, as berth_connector.
        vault: opens credentials.
        tokens: gets access tokens.
    """

    def __init__(self, pool: "Pool", vault_pool: "Pool", vault: "VaultReader", tokens: TokenSource) -> None:
        self._pool, self._vault_pool, self._vault, self._tokens = pool, vault_pool, vault, tokens

    async def prepare(
        self, request: VerificationRequest, *, imap_too: bool = True, fresh: bool = False
    ) -> Ready | Erased | NotYet:
        """Get ready to sign in; no provider is asked yet.

        Args:
            request: whose servers and credential.
            imap_too: False leaves IMAP out.
            fresh: the mail server has refused the last access token.

        Raises:
            CredentialErased: there is nothing to sign in with any more; the event that says so is on its way.
            CannotOpen, MissingSecret: the credential is not what the request says; an operator has to look at it.
        """
        imap, smtp = request.imap if imap_too else None, request.smtp
        if request.workspace_id is not None:
            return await self._through(request.workspace_id, request, imap, smtp, fresh=fresh)
        credential = await self._open(request)
        return Ready(
            request=request,
            imap=Login(imap, credential.reveal("imap_password")) if imap else None,
            smtp=Login(smtp, credential.reveal("smtp_password")) if smtp else None,
        )

    async def _through(
        self,
        workspace_id: UUID,
        request: VerificationRequest,
        imap: MailServer | None,
        smtp: MailServer | None,
        *,
        fresh: bool,
    ) -> Ready | Erased | NotYet:
        """With an access token. While the workspace is paused nobody is asked: why it is stands for its accounts too."""
        async with self._pool.acquire() as connection:
            workspace = await workspaces.find(connection, workspace_id)
            unproven = request.may_wait and await workspaces.awaits_proof(connection, workspace_id)
        if workspace is None:  # its event is on its way, unless it was removed
            await self._open(request)
            return NotYet()
        if unproven:  # else a thousand accounts would find out what one question tells
            return NotYet(_PROOF_PAUSE)
        key = workspace.usable
        via = Via(workspace_id, key, paused=workspace.paused is not None)
        if workspace.paused is not None:
            fetch = partial(_refuse, workspace.paused)
        else:
            try:
                credential = await open_credential(self._vault_pool, self._vault, workspace, key)
            except CredentialErased:
                if key == workspace.newest:
                    raise
                return Erased(via)
            subject = next((server.username for server in (imap, smtp) if server), request.address)
            roles = {role for role, server in ((IMAP_ROLE, imap), (SMTP_ROLE, smtp)) if server}
            since = workspace.verified_at
            fetch = partial(self._tokens.token, key, subject, credential, roles=roles, fresh=fresh, since=since)
        return Ready(
            request=request.model_copy(update={"credential_ref": key.credential_ref}),
            imap=Login(_by_token(imap), "") if imap else None,
            smtp=Login(_by_token(smtp), "") if smtp else None,
            grant=TokenGrant(service=key.provider, fetch=fetch),
            via=via,
        )

    async def _open(self, request: VerificationRequest) -> Credential:
        binding = Binding(
            organization_id=request.organization_id,
            owner_id=request.workspace_id or request.account_id,
            credential_id=request.credential_ref.credential_id,
            version=request.credential_ref.version,
        )
        async with self._vault_pool.acquire() as connection:
            return await self._vault.read(connection, binding)


async def _refuse(diagnosis: Diagnosis) -> str:
    """What an account of a paused workspace is told instead of asking."""
    raise Fault.known(diagnosis, "The email workspace is paused: its credential was refused.")


def _by_token(server: MailServer) -> MailServer:
    """The server, with a mechanism for tokens; both providers know XOAUTH2."""
    return server.model_copy(update={"mechanism": "xoauth2"}) if server.mechanism == "auto" else server
