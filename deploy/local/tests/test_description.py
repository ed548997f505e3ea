"""What is written about the running stack, and what the documentation says of it."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from pydantic import BaseModel

from berth_local.description import Demo, Description, ServiceDescription
from berth_local.report import how_to_go_on
from berth_local.sandbox.description import Host, Mailbox, PlayedProvider, Sandbox

DOCUMENT = Path(__file__).parents[3] / "docs" / "local-stack.md"


@pytest.fixture
def description() -> Description:
    host = Host(
        name="mail.acme.test",
        domain="acme.test",
        address="127.0.53.1",
        trusted=True,
        dmarc=True,
        imap=1,
        imaps=2,
        submission=3,
        submissions=4,
    )
    return Description(
        pid=1,
        url="http://127.0.0.1:8080",
        bus="embedded",
        bus_url="postgresql://x",
        kafka_bootstrap=None,
        postgres_url="postgresql://y",
        operator_key="p",
        internal_token="i",
        services={"gateway": ServiceDescription(url="u", database_url="d", log="l", pid=2)},
        sandbox=Sandbox(
            dns_servers=("127.0.0.1:53",),
            networks=("127.0.53.0/24",),
            authority_file="a",
            hosts=(host,),
            mailboxes=(Mailbox(address="new@acme.test", password="s", host="mail.acme.test"),),
        ),
        demo=Demo(organization_id="o", project_id="q", api_key="key'$(id)", accounts={"new@acme.test": "1"}),
    )


def test_only_the_owner_may_read_it(description: Description, tmp_path: Path) -> None:
    description.write(tmp_path)
    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {
        "berth.json": 0o600,
        "env": 0o600,
    }
    assert Description.read(tmp_path) == description
    Description.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Description.read(tmp_path) is None


def test_a_shell_reads_the_key_as_it_is(description: Description, tmp_path: Path) -> None:
    description.write(tmp_path)
    said = subprocess.run(
        ["sh", "-c", f'. {tmp_path}/env; printf "%s %s %s" "$BERTH_URL" "$BERTH_KEY" "$BERTH_SANDBOX_IMAP_PORT"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "http://127.0.0.1:8080 key'$(id) 2"


@pytest.mark.parametrize("model", [Description, ServiceDescription, Demo, Sandbox, Host, Mailbox, PlayedProvider])
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    text = DOCUMENT.read_text()
    assert [name for name in model.model_fields if not re.search(rf"[`.]{name}\b", text)] == []


@pytest.mark.parametrize(("imaps", "named"), [(993, False), (20993, True)])
def test_servers_are_named_where_they_are_not_on_the_usual_ports(
    description: Description, tmp_path: Path, *, imaps: int, named: bool
) -> None:
    gmail = PlayedProvider(
        name="google",
        address="127.0.53.11",
        imap_hosts=("imap.gmail.com",),
        smtp_hosts=("smtp.gmail.com",),
        imap=143,
        imaps=imaps,
        submission=587,
        submissions=465,
        domains=("gmail.com",),
        mailboxes=("works",),
    )
    sandbox = description.sandbox.model_copy(update={"providers": (gmail,), "provider_password": "let-me-in"})
    demo = description.demo.model_copy(update={"accounts": {"grace@acme.test": "1"}})
    text = how_to_go_on(description.model_copy(update={"sandbox": sandbox, "demo": demo}), tmp_path)
    body = text.rpartition("-d '")[2].partition("'\n")[0]
    assert json.loads(body) == {
        "email": "imap-disabled@gmail.com",
        "provider": "gmail",
        "password": "let-me-in",
        **(
            {
                "imap": {"host": "imap.gmail.com", "port": 20993, "security": "tls"},
                "smtp": {"host": "smtp.gmail.com", "port": 587, "security": "starttls"},
            }
            if named
            else {}
        ),
    }
    assert ("ip_unprivileged_port_start=143" in text) is named
