"""Berth's HTTP API: accepts accounts, keeps the seat ledger and the read model."""
