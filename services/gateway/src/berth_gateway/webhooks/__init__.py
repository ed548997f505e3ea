"""Webhooks: a project's events, sent to where it wants them, signed by the Standard Webhooks specification."""
