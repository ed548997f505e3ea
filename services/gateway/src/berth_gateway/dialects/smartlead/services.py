"""What SmartLead's calls work with besides what all calls do."""

from dataclasses import dataclass

from berth_gateway.dialects.smartlead.campaigns import Campaigns
from berth_gateway.dialects.smartlead.labelling import Labelling
from berth_gateway.dialects.smartlead.reconnecting import Reconnecting
from berth_gateway.dialects.smartlead.saving import Saving

__all__ = ["SmartLead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartLead:
    """The parts of the dialect."""

    saving: Saving
    campaigns: Campaigns
    labelling: Labelling
    reconnecting: Reconnecting
