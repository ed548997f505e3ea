import asyncpg

from berth_testing.postgres import DatabaseFrom, PostgresServer


async def test_a_database_is_empty_and_its_own(database: str, postgres_server: PostgresServer) -> None:
    connection = await asyncpg.connect(database)
    try:
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        await connection.execute("CREATE TABLE kept (id int)")
    finally:
        await connection.close()
    assert tables == 0
    assert database != postgres_server.dsn


async def test_copies_of_a_template_are_migrated_once(database_from: DatabaseFrom) -> None:
    runs = []

    async def migrate(dsn: str) -> None:
        runs.append(dsn)
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE account (id int); INSERT INTO account VALUES (7)")
        await connection.close()

    first, second = await database_from("a", migrate), await database_from("a", migrate)
    connection = await asyncpg.connect(second)
    assert await connection.fetchval("SELECT id FROM account") == 7
    await connection.close()
    assert first != second
    assert len(runs) == 1


def test_a_dsn_for_another_role_escapes_what_it_must() -> None:
    server = PostgresServer("postgresql://postgres@127.0.0.1:5432/postgres")
    assert server.dsn_of("db", user="berth_gateway", password="p@ss/w") == (
        "postgresql://berth_gateway:p%40ss%2Fw@127.0.0.1:5432/db"
    )
