"""Mail providers as scripts: how each greets, what it offers and how it accepts, so that the connector knows it by its words.

Every script lets everybody in. What a provider says when it does not is put in front of it: `provider.imap.but(...)`; the
words stand in the table of diagnoses.
"""

from dataclasses import dataclass
from typing import Final

from berth_local.sandbox.providers.scripts import START_TLS, Script

__all__ = ["PROVIDERS", "Provider", "imap_script", "smtp_script"]

#: `Username:` and `Password:` of AUTH LOGIN.
_ASK_USER, _ASK_PASSWORD = b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"
#: A line that is nothing but base64: a SASL response on a line of its own.
_RESPONSE: Final = r"^[A-Za-z0-9+/]+={0,2}$"


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider, or a kind of server.

    Attributes:
        imap_host: the name that its IMAP server is dialled by.
        smtp_host: likewise.
        imap: what the server says, over TLS or up to STARTTLS and then over TLS.
        smtp: likewise.
    """

    imap_host: str
    smtp_host: str
    imap: Script
    smtp: Script


def imap_script(
    greeting: str,
    capabilities: str,
    *,
    server_id: str = '("name" "IMAP")',
    welcome: str = "OK done",
    wants_id: bool = False,
) -> Script:
    """An IMAP server that accepts everybody.

    Args:
        greeting: its first line.
        capabilities: all of them, as words; STARTTLS is offered besides.
        server_id: what it answers to ID.
        welcome: the status and text with which it accepts.
        wants_id: SELECT and EXAMINE are refused on a connection that has not sent ID, as NetEase does.
    """
    accepted = f"TAG {welcome}\r\n".encode()
    selected = b"* 0 EXISTS\r\nTAG OK [READ-ONLY] EXAMINE completed\r\n"
    script = Script(
        greeting=f"{greeting}\r\n".encode(),
        answers=(
            (r" CAPABILITY$", f"* CAPABILITY {capabilities} STARTTLS\r\nTAG OK CAPABILITY completed\r\n".encode()),
            (r" STARTTLS$", (b"TAG OK Begin TLS negotiation now\r\n", START_TLS)),
            (r" ID \(", f"* ID {server_id}\r\nTAG OK ID completed\r\n".encode()),
            (r" (AUTHENTICATE \S+ \S+|LOGIN .+)$", accepted),
            (r" AUTHENTICATE \S+$", b"+ \r\n"),
            (_RESPONSE, accepted),
            (r" EXAMINE ", selected),
            (r" LOGOUT$", b"* BYE\r\nTAG OK LOGOUT completed\r\n"),
        ),
    )
    if not wants_id:
        return script
    refused = b"TAG NO EXAMINE Unsafe Login. Please contact kefu@188.com for help\r\n"
    return script.but((r" EXAMINE ", refused)).turning(r" ID \(", script)


def smtp_script(greeting: str, *extensions: str) -> Script:
    """A submission server that accepts everybody, and every message.

    Args:
        greeting: its first line, behind the code.
        extensions: what EHLO tells besides STARTTLS.
    """
    lines = [greeting.split(maxsplit=1)[0], *extensions, "STARTTLS"]
    ehlo = "".join(f"250{' ' if line is lines[-1] else '-'}{line}\r\n" for line in lines)
    accepted = b"235 2.7.0 Accepted\r\n"
    commands = (
        (r"^EHLO ", ehlo.encode()),
        (r"^AUTH LOGIN$", _ASK_USER),
        (r"^AUTH \S+$", b"334 \r\n"),
        (r"^AUTH \S+ \S+$", accepted),
        (r"^(NOOP|MAIL|RCPT)\b", b"250 2.0.0 OK\r\n"),
        (r"^DATA$", b"354 Go ahead\r\n"),
        (r"^\.$", b"250 2.0.0 OK queued\r\n"),
        (r"^QUIT$", b"221 2.0.0 Bye\r\n"),
    )
    script = Script(
        greeting=f"220 {greeting}\r\n".encode(),
        answers=((r"^STARTTLS$", (b"220 2.0.0 Ready to start TLS\r\n", START_TLS)), *commands, (_RESPONSE, accepted)),
    )
    return script.turning(r"^AUTH LOGIN$", script.but((_RESPONSE, _ASK_PASSWORD)).turning(_RESPONSE, script))


#: By the service's name in the table of diagnoses.
PROVIDERS: Final = {
    "google": Provider(
        "imap.gmail.com",
        "smtp.gmail.com",
        imap_script(
            "* OK Gimap ready for requests from 192.0.2.1 a1mb1234567890edb",
            "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN "
            "AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER",
            server_id='("name" "GImap" "vendor" "Google, Inc." "support-url" "https://support.google.com/mail")',
            welcome="OK authenticated (Success)",
        ),
        smtp_script(
            "smtp.gmail.com ESMTP a1-20020a05600c0001b0012345678sm1234567wmq.8 - gsmtp",
            "SIZE 35882577",
            "8BITMIME",
            "AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
            "ENHANCEDSTATUSCODES",
            "SMTPUTF8",
        ),
    ),
    "microsoft": Provider(
        "outlook.office365.com",
        "smtp.office365.com",
        imap_script(
            "* OK The Microsoft Exchange IMAP4 service is ready. [QQBNADAAUABSADAAMQA=]",
            "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+",
            server_id='("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")',
            welcome="OK AUTHENTICATE completed.",
        ),
        smtp_script(
            "AM0PR01CA0001.outlook.office365.com Microsoft ESMTP MAIL Service ready at Sat, 21 Nov 2026 10:00:00 +0000",
            "SIZE 157286400",
            "ENHANCEDSTATUSCODES",
            "AUTH LOGIN XOAUTH2",
            "SMTPUTF8",
        ),
    ),
    "yahoo": Provider(
        "imap.mail.yahoo.com",
        "smtp.mail.yahoo.com",
        imap_script(
            "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 ID] IMAP4rev1 imapgate-0.7.68_11_1 imap.mail.yahoo.com",
            "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER ID MOVE NAMESPACE UIDPLUS LITERAL+ CHILDREN UNSELECT",
        ),
        smtp_script(
            "smtp.mail.yahoo.com ESMTP ready", "SIZE 41697280", "8BITMIME", "AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER"
        ),
    ),
    "icloud": Provider(
        "imap.mail.me.com",
        "smtp.mail.me.com",
        imap_script(
            "* OK [CAPABILITY XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN] (2523B20) p00-imap.me.com",
            "XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN AUTH=ATOKEN2 AUTH=XOAUTH2",
        ),
        smtp_script("smtp.mail.me.com ESMTP", "SIZE 28311552", "AUTH LOGIN PLAIN XOAUTH2 ATOKEN", "8BITMIME"),
    ),
    "zoho": Provider(
        "imap.zoho.com",
        "smtp.zoho.com",
        imap_script(
            "* OK IMAP4 Server (Zoho Mail IMAP4rev1 Server version 1.0)",
            "IMAP4rev1 UNSELECT CHILDREN XLIST NAMESPACE IDLE MOVE ID AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ESEARCH LITERAL+",
            welcome="OK Success",
        ),
        smtp_script(
            "mx.zohomail.com SMTP Server ready November 21, 2026 10:00:00 AM UTC",
            "AUTH LOGIN PLAIN XOAUTH2",
            "SIZE 53477376",
        ),
    ),
    "fastmail": Provider(
        "imap.fastmail.com",
        "smtp.fastmail.com",
        imap_script("* OK IMAP4 ready", "IMAP4 IMAP4rev1 AUTH=PLAIN SASL-IR ID IDLE NAMESPACE LITERAL+ ENABLE"),
        smtp_script("smtp.fastmail.com ESMTP ready", "PIPELINING", "SIZE 71000000", "AUTH PLAIN LOGIN"),
    ),
    "yandex": Provider(
        "imap.yandex.com",
        "smtp.yandex.com",
        imap_script(
            "* OK Yandex IMAP4rev1 at imap-frontend.sas.yp-c.yandex.net:993 ready to talk with 192.0.2.1:40000",
            "IMAP4rev1 CHILDREN UNSELECT LITERAL+ NAMESPACE XLIST UIDPLUS ENABLE ID IDLE MOVE AUTH=PLAIN AUTH=XOAUTH2",
        ),
        smtp_script(
            "mail-nwsmtp-smtp-production-main-1.sas.yp-c.yandex.net ESMTP (Want to use Yandex.Mail for your domain?)",
            "8BITMIME",
            "PIPELINING",
            "SIZE 53477376",
            "AUTH LOGIN PLAIN XOAUTH2",
            "ENHANCEDSTATUSCODES",
        ),
    ),
    "netease": Provider(
        "imap.163.com",
        "smtp.163.com",
        imap_script(
            "* OK Coremail System IMap Server Ready(163com[10774b260cc7a37d26d71b52404dcf5c])",
            "IMAP4rev1 XLIST SPECIAL-USE ID LITERAL+ APPENDLIMIT=71680000 UIDPLUS SASL-IR AUTH=XOAUTH2",
            welcome="OK LOGIN completed",
            wants_id=True,
        ),
        smtp_script(
            "163.com Anti-spam GT for Coremail System (163com[20141201])", "PIPELINING", "AUTH LOGIN PLAIN XOAUTH2"
        ),
    ),
    "qq": Provider(
        "imap.qq.com",
        "smtp.qq.com",
        imap_script(
            "* OK [CAPABILITY IMAP4 IMAP4rev1 ID AUTH=PLAIN AUTH=LOGIN] QQMail XMIMAP4Server ready",
            "IMAP4 IMAP4rev1 XLIST MOVE IDLE NAMESPACE CHILDREN ID UIDPLUS AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2",
        ),
        smtp_script(
            "newxmesmtplogicsvrsza1-0.qq.com XMail Esmtp QQ Mail Server.", "AUTH LOGIN PLAIN XOAUTH2", "8BITMIME"
        ),
    ),
    "mailru": Provider(
        "imap.mail.ru",
        "smtp.mail.ru",
        imap_script(
            "* OK Welcome to Mail.Ru", "IMAP4rev1 ID XLIST UIDPLUS UNSELECT MOVE LITERAL+ AUTH=PLAIN AUTH=XOAUTH2"
        ),
        smtp_script(
            "smtp1.i.mail.ru ESMTP (Looking for Mail for your domain?)", "SIZE 73400320", "AUTH PLAIN LOGIN XOAUTH2"
        ),
    ),
}
