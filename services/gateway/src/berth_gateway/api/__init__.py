"""The canonical HTTP API under /v1."""
