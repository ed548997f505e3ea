"""Proves over IMAP and SMTP that a mailbox works, and says exactly why when it does not."""
