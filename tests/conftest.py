"""The platform that the end-to-end tests share: four services on Kafka, with real mail servers and real DNS."""

from collections.abc import AsyncIterator

import pytest

from berth_testing.kafka import KafkaServer
from berth_testing.mail_bed import MailBed
from berth_testing.nsd import NameServer
from berth_testing.platform import Platform, Surroundings, run_platform
from berth_testing.postgres import PostgresServer
from berth_testing.servers import working_directory


@pytest.fixture(scope="session")
async def platform(
    postgres_server: PostgresServer, kafka: KafkaServer, mail_bed: MailBed, nsd: NameServer
) -> AsyncIterator[Platform]:
    surroundings = Surroundings(
        kafka_bootstrap=kafka.bootstrap,
        dns_server=nsd.endpoint,
        ca_file=mail_bed.ca_file,
        mail_ports=sorted(mail_bed.ports.values()),
        settings={},
    )
    with working_directory("berth-platform-") as directory:
        async with run_platform(postgres_server.dsn, directory, surroundings) as running:
            yield running
