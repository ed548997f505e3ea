"""Berth on one machine: Postgres, bus, four services and a mail sandbox."""
