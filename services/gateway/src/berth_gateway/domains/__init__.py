"""Domains: what the auditor says of the domains of a project's accounts."""
