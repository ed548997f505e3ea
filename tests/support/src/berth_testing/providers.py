"""Mail servers as scripts that are no provider's: software that many run, and a server that nobody knows.

The providers' scripts are the sandbox's.
"""

from typing import Final

from berth_local.sandbox.providers.speakers import PROVIDERS, Provider, imap_script, smtp_script

__all__ = ["PROVIDERS", "SOFTWARE", "UNKNOWN_SERVER", "Provider"]

_HOST: Final = "mail.test.example"
_WORDS: Final = "IMAP4rev1 SASL-IR ID AUTH=PLAIN AUTH=XOAUTH2"
_SMTP_WORDS: Final = ("ENHANCEDSTATUSCODES", "AUTH PLAIN LOGIN XOAUTH2")

#: Nobody knows who this is.
UNKNOWN_SERVER: Final = Provider(
    _HOST, _HOST, imap_script("* OK ready", _WORDS), smtp_script(f"{_HOST} ESMTP ready", *_SMTP_WORDS)
)


def _software(imap_greeting: str, smtp_greeting: str) -> Provider:
    return Provider(
        _HOST, _HOST, imap_script(imap_greeting, _WORDS), smtp_script(f"{_HOST} {smtp_greeting}".strip(), *_SMTP_WORDS)
    )


#: By the software's name in the table. Mailu and its like do not tell who they are.
SOFTWARE: Final = {
    "sw:dovecot": _software("* OK [CAPABILITY IMAP4rev1 SASL-IR ID] Dovecot ready.", "Dovecot ready."),
    "sw:postfix": _software("* OK ready", "ESMTP Postfix"),
    "sw:exim": _software("* OK ready", "ESMTP Exim 4.96 Sat, 21 Nov 2026 10:00:00 +0000"),
    "sw:cyrus": _software(f"* OK [CAPABILITY IMAP4 IMAP4rev1 ID] {_HOST} Cyrus IMAP 3.6.1 server ready", ""),
    "sw:exchange": _software(
        "* OK The Microsoft Exchange IMAP4 service is ready.",
        "Microsoft ESMTP MAIL Service ready at Sat, 21 Nov 2026 10:00:00 +0000",
    ),
    "sw:zimbra": _software(f"* OK {_HOST} Zimbra IMAP4rev1 server ready", "ESMTP Postfix"),
    "sw:mailu": UNKNOWN_SERVER,
    "sw:imail": _software("* OK IMAP4 Server (IMail 12.4.2)", "(IMail 12.4.2) NT-ESMTP Server X1"),
}
