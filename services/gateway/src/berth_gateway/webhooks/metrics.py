"""The metrics of webhooks."""

from prometheus_client import Counter, Gauge, Histogram

__all__ = ["ATTEMPTS", "ATTEMPT_SECONDS", "OLDEST", "PENDING"]

ATTEMPTS = Counter("berth_webhook_attempts_total", "Requests to webhooks by this process", ["outcome"])
ATTEMPT_SECONDS = Histogram(
    "berth_webhook_attempt_seconds",
    "Duration of one request to a webhook",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
PENDING = Gauge("berth_webhook_pending_rows", "Deliveries that wait at enabled webhooks")
OLDEST = Gauge("berth_webhook_oldest_seconds", "How long the oldest delivery that waits has been due")
