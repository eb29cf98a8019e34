"""What can keep the benchmark from a figure."""

from core.errors import PostlaneError


class BenchError(PostlaneError):
    """A figure cannot be had, or would be wrong: mail is missing, a process died, a program is not installed."""
