"""What `make run` expects to go wrong."""

__all__ = ["LocalStackError"]


class LocalStackError(RuntimeError):
    """The local stack cannot do what was asked. The message says what is missing and how to get it."""
