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
            "source": "mail_exchanger",
            "confidence": "high",
        }
        for port, security in ((465, "tls"), (587, "starttls"))
    ],
    "complete": True,
}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {"autoconfigure": {"200": AUTOCONFIGURATION}}
