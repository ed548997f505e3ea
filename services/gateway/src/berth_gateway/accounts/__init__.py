"""Accounts: what is asked for, how it is accepted, how it is read back."""
