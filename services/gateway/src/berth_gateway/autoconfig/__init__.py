"""Autoconfiguration: from an email address to the servers of its mailbox, without asking the person."""
