"""Which rows of an import become accounts, and why the others do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar
from uuid import UUID

from berth_gateway.accounts.addresses import MailAddress
from berth_gateway.accounts.bulk import Admission
from berth_gateway.autoconfig.findings import Source
from berth_gateway.errors import FieldFault

__all__ = ["Candidate", "Plan", "Rejection", "RejectionCode", "Row", "decide", "rejected"]

M = TypeVar("M")

#: How much is told of a row that is wrong in many ways.
_FAULTS: Final = 10
_FIELD: Final = 100

RejectionCode = Literal[
    "invalid_fields", "duplicate_address", "already_connected", "address_taken", "seat_limit_reached"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a row is not accepted, and how to mend it.

    Attributes:
        account_id: the account that has the address already.
    """

    code: RejectionCode
    detail: str
    remedy: str
    account_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(Generic[M]):
    """What a row asks for, when it asks for something that could be.

    Attributes:
        filled_in: the servers that it left out, and where they were found.
    """

    address: MailAddress
    mailbox: M
    filled_in: Mapping[Literal["imap", "smtp"], Source] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[M]):
    """A row of the request.

    Attributes:
        number: as whoever sent it counts.
        email: as it was written, as far as it can be shown.
        content: what it asks for, or what is wrong with it.
    """

    number: int
    email: str
    content: Candidate[M] | Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Generic[M]):
    """What becomes of each row, in their order.

    Attributes:
        seats_needed: for everything that could be accepted.
    """

    accepted: Sequence[tuple[Row[M], Candidate[M]]]
    rejected: Sequence[tuple[Row[M], Rejection]]
    seats_needed: int


def decide(rows: Sequence[Row[M]], admission: Admission, workspace_id: UUID | None) -> Plan[M]:
    """Accept the first rows that fit.

    Args:
        rows: what was asked for.
        admission: free seats, and addresses that are taken.
        workspace_id: the workspace that they are to sign in through, if any.
    """
    accepted: list[tuple[Row[M], Candidate[M]]] = []
    refused: list[tuple[Row[M], Rejection]] = []
    seen: dict[str, int] = {}
    needed = 0
    for row in rows:
        content = row.content
        if isinstance(content, Candidate):
            reason = _standing(content, admission, workspace_id, seen)
            seen.setdefault(content.address.key, row.number)
            needed += reason is None
            if reason is None and needed <= admission.free:
                accepted.append((row, content))
                continue
            content = reason or _NO_SEAT
        refused.append((row, content))
    return Plan(accepted=accepted, rejected=refused, seats_needed=needed)


def rejected(faults: Sequence[FieldFault]) -> Rejection:
    """What is wrong with a row by itself."""
    return Rejection(
        code="invalid_fields",
        detail=" ".join(f"{_plain(fault.field)}: {fault.detail}" for fault in faults[:_FAULTS]),
        remedy=" ".join(dict.fromkeys(fault.remedy for fault in faults[:_FAULTS])),
    )


def _plain(field: str) -> str:
    """The name of a field, which may be the caller's."""
    return "".join(character if character.isprintable() else "\ufffd" for character in field[:_FIELD])


_NO_SEAT = Rejection(
    code="seat_limit_reached",
    detail="Seat limit reached: the seats that are free go to the rows before.",
    remedy="Remove accounts or raise the limit of the subscription, then import the row again.",
)


def _standing(
    candidate: Candidate[M], admission: Admission, workspace_id: UUID | None, seen: dict[str, int]
) -> Rejection | None:
    """What stands in the way of a row besides the seats."""
    key = candidate.address.key
    if key in seen:
        detail = f"The address stands in row {seen[key]} of this request already."
        return Rejection(code="duplicate_address", detail=detail, remedy="Remove one of the rows.")
    existing = admission.existing.get(key)
    if existing is None:
        return None
    if workspace_id is not None and existing.workspace_id == workspace_id:
        return Rejection(
            code="already_connected",
            detail="The address is an account of this workspace already.",
            remedy="Nothing needs to be done.",
            account_id=existing.account_id,
        )
    return Rejection(
        code="address_taken",
        detail="The address is an account of this project already.",
        remedy="Use that account, or remove it first.",
        account_id=existing.account_id,
    )
