"""The metrics of the connector. Destinations are no labels: users name them."""

from prometheus_client import Counter

__all__ = ["LEFT_ALONE", "OUTAGES", "OUTAGE_FAILURES", "REFUSED", "TOKEN_REQUESTS"]

LEFT_ALONE = Counter("berth_left_alone_total", "Times that a mail service was left alone because it turned us away")
OUTAGES = Counter("berth_outages_total", "Outages that this process has noticed")
OUTAGE_FAILURES = Counter("berth_outage_failures_total", "Failed looks at working accounts, put down to an outage")
REFUSED = Counter("berth_refused_sign_ins_total", "Verifications in which a mail server refused the sign-in")
TOKEN_REQUESTS = Counter(
    "berth_token_requests_total", "Access tokens that identity providers were asked for", ["provider", "outcome"]
)
