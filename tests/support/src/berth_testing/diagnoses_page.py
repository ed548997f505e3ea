"""`python -m berth_testing.diagnoses_page`: write what stands in the table of diagnoses into the documentation.

docs/diagnoses.md gets what servers say, and what Berth makes of it; docs/sandbox.md the mailboxes of the played providers.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from berth_connector.diagnosis import DiagnosisTable, Rule
from berth_connector.diagnosis.rules import load_providers, load_words
from berth_local.sandbox.providers.mailboxes import Casting
from berth_testing.corpus.elsewhere import load_elsewhere

__all__ = ["BEGINS", "ENDS", "page_with", "played_mailboxes", "server_texts"]

BEGINS: Final = "<!-- generated from diagnoses.csv: make diagnoses-page -->"
ENDS: Final = "<!-- end of what is generated -->"
_SOFTWARE: Final = {
    "sw:dovecot": "Dovecot",
    "sw:postfix": "Postfix",
    "sw:exim": "Exim",
    "sw:cyrus": "Cyrus IMAP",
    "sw:exchange": "Exchange, on premises",
    "sw:zimbra": "Zimbra",
    "sw:mailu": "Mailu",
    "sw:imail": "IMail",
    "*": "Any server, the network, and findings of Berth's own",
}


def server_texts(table: DiagnosisTable) -> str:
    """Every row of the table, by provider, in the order of the file."""
    providers = load_providers()
    order = [*providers, *_SOFTWARE]
    rules = sorted(table.rules, key=lambda rule: order.index(rule.providers[0]))
    parts = []
    for provider, group in groupby(rules, key=lambda rule: rule.providers[0]):
        known = providers.get(provider)
        heading = [f"### {known.name if known else _SOFTWARE[provider]}", ""]
        if known:
            heading += [f"The provider's help: <{known.help}>", ""]
        parts.append("\n".join([*heading, *_table(list(group))]))
    return "\n\n".join([*parts, "\n".join(_words()), "\n".join(_elsewhere(table))])


def played_mailboxes(table: DiagnosisTable) -> str:
    """The providers that the sandbox plays, each with its hosts, its domains, and the mailboxes that are named by a code."""
    casting = Casting(table)
    lines = ["| provider | IMAP, SMTP | mailboxes | in the domains |", "|---|---|---|---|"]
    for provider, mailboxes in casting.mailboxes.items():
        services = [service for service in casting.services if service.provider == provider]
        hosts = dict.fromkeys(host for service in services for host in (*service.imap[:1], *service.smtp[:1]))
        names = [name for name in mailboxes if not set("._") & set(name)]
        domains = [domain for service in services for domain in service.domains]
        cells = (" ".join(map(_code, column)) for column in (hosts, names, domains))
        lines.append(f"| {' | '.join([casting.names[provider], *cells])} |")
    return "\n".join(lines)


def page_with(page: str, texts: str) -> str:
    """The page with its generated part replaced."""
    before, found, rest = page.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not found or not ends:
        raise ValueError("a page has lost the marks around what is generated")
    return f"{before}{BEGINS}\n\n{texts}\n\n{ENDS}{after}"


def _table(rules: Sequence[Rule]) -> Iterator[str]:
    yield "| what the server says | looked for | at | diagnosis | what it means, and what to do |"
    yield "|---|---|---|---|---|"
    for rule in rules:
        at = f"{'/'.join(rule.protocols)} {'/'.join(rule.steps)}".replace("*", "any")
        tokens = " or ".join(_code(" ".join(sorted(codes)).upper()) for codes in rule.codes if codes)
        pattern = _code(rule.match) if rule.match else ""
        looked_for = " and ".join(filter(None, [tokens, pattern]))
        others = f" (also {', '.join(rule.providers[1:])})" if rule.providers[1:] else ""
        cells = [
            _code(rule.example) if rule.example else "",
            looked_for,
            f"{at}{others}",
            f"{_code(rule.code)} by {_code(rule.rule_id)}",
            f"{_cell(rule.meaning)}. {_cell(rule.remedy)}",
        ]
        yield f"| {' | '.join(cells)} |"


def _words() -> Iterator[str]:
    yield "### The words"
    yield ""
    yield "What the rows above have in braces: what servers say of a cause, by language."
    yield ""
    yield "| cause | language | looked for |"
    yield "|---|---|---|"
    for words in load_words():
        yield f"| {_code(f'{{{words.cause}}}')} | {words.language} | {_code(words.pattern)} |"


def _elsewhere(table: DiagnosisTable) -> Iterator[str]:
    yield "### What other servers say"
    yield ""
    yield "Replies that are no row's example, and what the table makes of them."
    yield ""
    yield "| what the server says | said by | at | diagnosis |"
    yield "|---|---|---|---|"
    for one in sorted((one for one in load_elsewhere() if not one.is_composed), key=lambda one: one.source.casefold()):
        found = one.diagnosed(table)
        by = f" by {_code(found.rule_id)}" if found.rule_id else ""
        yield f"| {_code(one.reply)} | {_cell(one.source)} | {one.protocol} {one.step} | {_code(found.code)}{by} |"


def _cell(text: str) -> str:
    escaped = text.replace("|", r"\|").replace("<", "&lt;")
    return " ".join(escaped.split())


def _code(text: str) -> str:
    """Inline code, as it stands; a fence longer than any run of backticks in it, and bars escaped for the table."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{' '.join(text.split()).replace('|', chr(92) + '|')}{fence}"


def main() -> int:
    """Write the pages."""
    table = DiagnosisTable.load()
    for name, text in (("diagnoses.md", server_texts(table)), ("sandbox.md", played_mailboxes(table))):
        page = Path("docs") / name
        page.write_text(page_with(page.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
