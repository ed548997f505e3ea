"""Every metric of the runtime, declared once. Gauges of the database are read when they are scraped (see health.py)."""

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "APPEND_CONFLICTS",
    "CONSUMER_LAST_PROGRESS",
    "CONSUMER_RESTARTS",
    "EVENTS_APPENDED",
    "EVENTS_PARKED",
    "OUTBOX_DEPTH",
    "OUTBOX_OLDEST",
    "PARKED_KEYS",
    "RECORDS_APPLIED",
    "RECORDS_SKIPPED",
    "RELAYED",
    "WORK_DURATION",
    "WORK_STATE",
]

EVENTS_APPENDED = Counter("berth_events_appended_total", "Events appended to the store of this process's service")
APPEND_CONFLICTS = Counter("berth_append_conflicts_total", "Appends that found the stream at another version")
RELAYED = Counter("berth_outbox_relayed_total", "Outbox rows that the bus acknowledged")
OUTBOX_DEPTH = Gauge("berth_outbox_depth", "Rows in the outbox")
OUTBOX_OLDEST = Gauge("berth_outbox_oldest_seconds", "Age of the oldest row in the outbox")
RECORDS_APPLIED = Counter("berth_records_applied_total", "Records applied by a consumer", ["consumer"])
RECORDS_SKIPPED = Counter("berth_records_skipped_total", "Records not applied", ["consumer", "reason"])
EVENTS_PARKED = Counter("berth_events_parked_total", "Events parked because they could not be applied", ["consumer"])
PARKED_KEYS = Gauge("berth_parked_keys", "Keys that are parked now", ["consumer"])
CONSUMER_LAST_PROGRESS = Gauge(
    "berth_consumer_last_progress_timestamp_seconds", "When the consumer last advanced or was caught up", ["consumer"]
)
CONSUMER_RESTARTS = Counter("berth_consumer_restarts_total", "Times a consumer's client was replaced", ["consumer"])
WORK_STATE = Gauge("berth_work_rows", "Rows of the work table", ["state"])
WORK_DURATION = Histogram("berth_work_seconds", "Duration of one run of work", ["kind", "outcome"])
