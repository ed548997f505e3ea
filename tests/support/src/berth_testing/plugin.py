"""The pytest plug-ins of this package, named by the root conftest.py."""

pytest_plugins = [
    "berth_testing.plain_logs",
    "berth_testing.ran",
    "berth_testing.strict",
    "berth_testing.postgres",
    "berth_testing.kafka",
    "berth_testing.mail_bed",
    "berth_testing.oauth_bed",
    "berth_testing.nsd",
    "berth_testing.marks",
]
