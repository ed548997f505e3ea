"""Sealing and opening of mailbox credentials."""
