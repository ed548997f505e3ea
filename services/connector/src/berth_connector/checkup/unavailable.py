"""What a connector says of checkups that was installed without what they need (docs/adr/0007)."""

from typing import TYPE_CHECKING

from berth_connector.checkup.worker import Errand, Examination
from berth_connector.diagnosis import DiagnosisTable, Origin, Reply
from berth_connector.probe import Login, TokenGrant
from berth_events.contracts import Checkup

if TYPE_CHECKING:
    from berth_events.runtime.clock import Clock

__all__ = ["NoExaminer"]


class NoExaminer:
    """Says of every checkup that it cannot be done."""

    def __init__(self, table: DiagnosisTable, clock: "Clock") -> None:
        self._table, self._clock = table, clock

    async def examine(
        self,
        errand: Errand,  # noqa: ARG002 - as Examiner.examine
        address: str,  # noqa: ARG002
        imap: Login | None,  # noqa: ARG002
        smtp: Login | None,  # noqa: ARG002
        grant: TokenGrant | None = None,  # noqa: ARG002
    ) -> Examination:
        """Dial nobody."""
        finding = self._table.diagnose("imap", "checkup", [Reply.of(["MISSING:CHECKUP"])], Origin(), "")
        checkup = Checkup(started_at=self._clock.now(), outcome="failed", diagnosis=finding.diagnosis)
        return Examination(checkup)
