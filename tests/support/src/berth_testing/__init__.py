"""Fixtures that start the real servers which Berth's tests run against."""
