"""Examples of autoconfiguration."""

from typing import Any, Final

__all__ = ["AUTOCONFIGURATION", "EXAMPLES"]

AUTOCONFIGURATION: Final[dict[str, Any]] = {
    "email": "alice@acme.com",
    "domain": "acme.com",
    "provider": "custom",
    "service": {
        "code": "fastmail",
        "name": "Fastmail",
        "table": "service_table",
        "sign_in": ["app_password"],
        "help_url": "https://www.fastmail.help/hc/en-us/articles/360058752854",
    },
    "imap": [
        {
            "host": "imap.fastmail.com",
            "port": 993,
            "security": "tls",
            "username": "alice@acme.com",
            "username_form": "address",
            "authentication": ["password"],
            "source": "mail_exchanger",
            "confidence": "high",
        }
    ],
    "smtp": [
        {
            "host": "smtp.fastmail.com",
            "port": port,
            "security": security,
            "username": "alice@acme.com",
            "username_form": "address",
            "authentication": ["password"],
            "source": "mail_exchanger",
            "confidence": "high",
        }
        for port, security in ((465, "tls"), (587, "starttls"))
    ],
    "looked_up": [
        {"source": "service_table", "question": "acme.com", "outcome": "nothing"},
        {"source": "ispdb", "question": "acme.com", "outcome": "nothing"},
        {"source": "mail_exchanger", "question": "acme.com MX", "outcome": "found"},
        *(
            {"source": "service_record", "question": f"{label}._tcp.acme.com SRV", "outcome": "nothing"}
            for label in ("_imaps", "_imap", "_submissions", "_submission")
        ),
    ],
    "complete": True,
}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {"autoconfigure": {"200": AUTOCONFIGURATION}}
