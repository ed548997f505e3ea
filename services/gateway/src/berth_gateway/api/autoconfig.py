"""Autoconfiguration: where the mailbox of an address is."""

from typing import Annotated

from fastapi import APIRouter, Query

from berth_gateway.accounts.addresses import InvalidAddress, MailAddress
from berth_gateway.accounts.schemas import Text
from berth_gateway.api.authentication import Reads
from berth_gateway.api.openapi import KEY, problems
from berth_gateway.api.services import Provided
from berth_gateway.autoconfig.presentation import autoconfiguration
from berth_gateway.autoconfig.schemas import Autoconfiguration
from berth_gateway.errors import FieldFault, InvalidFields

__all__ = ["router"]

router = APIRouter(prefix="/v1/autoconfig", tags=["accounts"])


@router.get("", operation_id="autoconfigure", responses=problems(*KEY, InvalidFields))
async def autoconfigure(
    services: Provided,
    caller: Reads,  # noqa: ARG001 - any key that may read accounts
    email: Annotated[Text, Query(description="an address; only its domain is looked up", examples=["alice@acme.com"])],
) -> Autoconfiguration:
    """The servers of an address's mailbox, from the table of mail services and from the DNS, within 3 seconds.

    No mail server is connected to.
    """
    try:
        address = MailAddress.parse(email)
    except InvalidAddress as error:
        raise InvalidFields([FieldFault("email", str(error), "Write it as name@example.com.")]) from None
    return autoconfiguration(address, await services.autoconfig.find(address.domain))
