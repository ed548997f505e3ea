"""SmartLead's API, so that its clients work when their host is changed."""

from typing import Final

from berth_gateway.dialects.smartlead import account_endpoints, campaign_endpoints, endpoints, tag_endpoints
from berth_gateway.dialects.smartlead.examples import EXAMPLES
from berth_gateway.dialects.smartlead.refusals import owns, refusal

__all__ = ["EXAMPLES", "ROUTERS", "owns", "refusal"]

#: What is static comes before `{account_id}`.
ROUTERS: Final = (endpoints.router, tag_endpoints.router, account_endpoints.router, campaign_endpoints.router)
