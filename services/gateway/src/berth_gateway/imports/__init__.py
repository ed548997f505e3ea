"""Imports: many addresses in one request, and what became of each."""
