"""The vault's DDL. The gateway's database is migrated with it: berth_vault is one of the gateway's packages."""

from importlib.resources import files

__all__ = ["schema_sql"]


def schema_sql() -> str:
    """Schema, table, roles and grants; may be executed again. Its executor owns the schema and may create the roles."""
    return files("berth_vault").joinpath("migrations/0001_vault.sql").read_text(encoding="utf-8")
