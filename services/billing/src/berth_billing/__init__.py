"""Keeps subscriptions, and counts seats from the events."""
