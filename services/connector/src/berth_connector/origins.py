"""Who is speaking: the mail service by the host that was dialled or by its greeting, the server software by what it says."""

import re
from functools import lru_cache
from typing import Final

from berth_connector.diagnosis import Origin

__all__ = ["SERVICES", "of_host", "recognise"]

#: Servers say the same to everybody, and a bulk import asks one of them again and again.
_REMEMBERED: Final = 128
_HOSTS: Final[dict[str, tuple[str, ...]]] = {
    "google": ("gmail.com", "googlemail.com", "google.com"),
    "microsoft": ("office365.com", "office.com", "outlook.com", "hotmail.com", "live.com"),
    "yahoo": ("yahoo.com", "aol.com", "yahoodns.net"),
    "icloud": ("me.com", "icloud.com", "mac.com"),
    "zoho": ("zoho.com", "zoho.eu", "zoho.in", "zoho.jp", "zoho.com.au", "zoho.com.cn", "zohocloud.ca", "zoho.sa"),
    "fastmail": ("fastmail.com", "messagingengine.com"),
    "yandex": ("yandex.com", "yandex.ru", "yandex.net"),
    "netease": ("163.com", "126.com", "188.com", "yeah.net", "netease.com"),
    "qq": ("qq.com",),
    "mailru": ("mail.ru",),
}
#: The mail services that are known by their hosts.
SERVICES: Final = tuple(_HOSTS)
#: By a server's own words, for hosts with names of their own.
_GREETINGS: Final = {
    "google": re.compile(r"\bgimap ready\b|\bmx\.google\.com\b|\bsmtp\.gmail\.com\b", re.IGNORECASE),
    "microsoft": re.compile(r"\.(?:prod|protection)\.outlook\.com\b", re.IGNORECASE),
    "yahoo": re.compile(r"\bimap4rev1 .*yahoo\b|\.mail\.(?:yahoo|aol)\.com\b", re.IGNORECASE),
    "netease": re.compile(r"\bcoremail\b.*\b(?:163|126|188)com\b", re.IGNORECASE),
}
_SOFTWARE: Final = {
    "sw:dovecot": re.compile(r"\bdovecot\b", re.IGNORECASE),
    "sw:postfix": re.compile(r"\bpostfix\b", re.IGNORECASE),
    "sw:exim": re.compile(r"\besmtp exim\b", re.IGNORECASE),
    "sw:cyrus": re.compile(r"\bcyrus imap\b|\bname\W+cyrus imapd?\b", re.IGNORECASE),
    "sw:exchange": re.compile(r"\bmicrosoft exchange\b|\bmicrosoft esmtp mail service\b", re.IGNORECASE),
    "sw:zimbra": re.compile(r"\bzimbra\b", re.IGNORECASE),
    "sw:imail": re.compile(r"\bimail\b", re.IGNORECASE),
}


@lru_cache(_REMEMBERED)
def of_host(host: str) -> Origin:
    """What the name of the dialled host tells."""
    for service, domains in _HOSTS.items():
        if any(f".{host}".endswith(f".{domain}") for domain in domains):
            return Origin(service=service)
    return Origin()


@lru_cache(_REMEMBERED)
def recognise(origin: Origin, words: str) -> Origin:
    """What is known after a greeting, an answer to ID or a list of capabilities. What was known stays."""
    service = origin.service or next((name for name, said in _GREETINGS.items() if said.search(words)), None)
    software = origin.software or next((name for name, said in _SOFTWARE.items() if said.search(words)), None)
    return Origin(service, software)
