"""What is written about the running stack, and what the documentation says of it."""

import re
import subprocess
from pathlib import Path

import pytest
from pydantic import BaseModel

from berth_local.description import Demo, Description, ServiceDescription
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
