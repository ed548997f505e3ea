"""The documentation is held against the code: codes, problems, settings, metrics, and the links between the pages."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
from pydantic_settings import BaseSettings

from berth_billing.settings import BillingSettings
from berth_connector import metrics as connector_metrics
from berth_connector.diagnosis import DiagnosisTable
from berth_connector.diagnosis.rules import load_codes, load_words
from berth_connector.policies import POLICIES
from berth_connector.settings import ConnectorSettings
from berth_dns_auditor.findings import catalogue
from berth_dns_auditor.settings import AuditorSettings
from berth_events.runtime import metrics
from berth_events.runtime.settings import ServiceSettings
from berth_gateway import errors
from berth_gateway.settings import GatewaySettings
from berth_gateway.webhooks import metrics as webhook_metrics
from berth_testing.diagnoses_page import page_with, played_mailboxes, server_texts

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
#: How operations.md begins the table of each service's own variables.
SETTINGS: dict[str, type[BaseSettings]] = {
    "For every service:": ServiceSettings,
    "The gateway:": GatewaySettings,
    "The connector:": ConnectorSettings,
    "The DNS auditor:": AuditorSettings,
    "Billing:": BillingSettings,
}


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def table_behind(text: str, begins: str) -> str:
    """The table that follows a line."""
    found = re.search(rf"^{re.escape(begins)}\n\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"there is no table behind {begins!r}"
    return found[1]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_diagnosis_is_listed() -> None:
    _, _, behind = page("diagnoses.md").partition("## The codes")
    codes, _, _ = behind.partition("## What servers say")
    listed = {tuple(row) for row in rows(codes)} - {("code", "meaning", "action by", "severity", "retry policy")}
    known = {
        (f"`{code.code}`", code.meaning, code.action_by, code.severity, f"`{code.retry_policy}`")
        for code in load_codes().values()
    }
    assert listed == known


def test_the_mailboxes_of_the_played_providers_are_on_the_page() -> None:
    text = page("sandbox.md")
    assert page_with(text, played_mailboxes(DiagnosisTable.load())) == text, "run `make diagnoses-page`"


def test_what_servers_say_is_on_the_page() -> None:
    """And every text as it stands, so that a search for a part of it finds its row."""
    text = page("diagnoses.md")
    assert page_with(text, server_texts(DiagnosisTable.load())) == text, "run `make diagnoses-page`"
    for rule in DiagnosisTable.load().rules:
        assert rule.rule_id in text
        assert " ".join(rule.example.split()).replace("|", r"\|") in text
        assert rule.match.replace("|", r"\|") in text
    for words in load_words():
        assert words.pattern.replace("|", r"\|") in text


def test_every_retry_policy_is_explained() -> None:
    _, _, behind = page("diagnoses.md").partition("## When Berth tries again")
    table, _, _ = behind.partition("## The codes")
    explained = {row[0]: row[2] for row in rows(table) if row[0] != "policy"}
    assert {name for cell in explained for name in quoted(cell)} == POLICIES.keys()
    for cell, tries in explained.items():
        for name in quoted(cell):
            policy = POLICIES[name]
            assert tries == ("" if policy is None else "for ever" if policy.retries is None else str(policy.retries))


def test_every_finding_is_listed() -> None:
    listed = {tuple(row) for row in rows(page("findings.md")) if row[0] != "code"}
    known = {
        (f"`{entry.code}`", entry.severity, entry.meaning, entry.remedy, entry.reference)
        for entry in catalogue().values()
    }
    assert listed == known


def test_every_problem_is_listed() -> None:
    _, _, behind = page("api.md").partition("## Problems")
    problems, _, _ = behind.partition("## Events")
    listed = {(f"urn:berth:problem:{row[0].strip('`')}", row[1]) for row in rows(problems) if row[1].isdecimal()}
    known = {
        (error.type_uri(), str(error.status))
        for _, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.GatewayError) and error is not errors.GatewayError
    }
    assert listed == known


@pytest.mark.parametrize("begins", SETTINGS)
def test_every_variable_is_listed_with_its_default(begins: str) -> None:
    settings = SETTINGS[begins]
    common = set() if settings is ServiceSettings else set(ServiceSettings.model_fields)
    listed: dict[str, str] = {}
    for row in rows(table_behind(page("operations.md"), begins)):
        if row[0] != "variable":
            listed |= {name.lower(): row[2] for name in quoted(row[0])}
    assert listed.keys() == settings.model_fields.keys() - common
    for name, default in listed.items():
        field = settings.model_fields[name]
        if field.is_required():
            assert default == "required"
        elif field.default:
            assert default == f"`{field.default}`"


def test_every_metric_is_listed() -> None:
    listed = {(name, row[1].partition(",")[0]) for row in rows(page("operations.md")) for name in metric_names(row[0])}
    known = {
        (family.name + ("_total" if family.type == "counter" else ""), family.type)
        for family in prometheus_client.REGISTRY.collect()
        if family.name.startswith("berth_")
    }
    assert metrics.__all__, "they are registered when the module is imported"
    assert webhook_metrics.__all__, "likewise"
    assert connector_metrics.__all__, "likewise"
    assert listed == known


def metric_names(cell: str) -> list[str]:
    return re.findall(r"`(berth_[a-z_]+(?:_total|_depth|_seconds|_keys|_rows))`", cell)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"(?<!`)(`{1,2})(?!`).*?(?<!`)\1(?!`)", "", text)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), f"{target}: there is no such file"
        if anchor:
            assert anchor in anchors(found.read_text(encoding="utf-8")), f"{target}: there is no such heading"


def anchors(text: str) -> set[str]:
    """How headings are addressed: lower case, blanks as hyphens, without punctuation."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
