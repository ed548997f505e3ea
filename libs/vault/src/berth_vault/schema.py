"""The vault's DDL, executed by a migration of the gateway's database."""

from importlib.resources import files

__all__ = ["schema_sql"]


def schema_sql() -> str:
    """Schema, table, roles and grants; may be executed again. Its executor owns the schema and may create the roles."""
    return files("berth_vault").joinpath("sql/vault.sql").read_text(encoding="utf-8")
