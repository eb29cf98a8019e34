"""Base of all exceptions. Expected results are values; an exception is a bug or a broken collaborator.

Each class says whether trying again can help, so that a caller needs no list of types.
"""


class PostlaneError(Exception):
    """Something went wrong that the caller has to hear about."""

    retryable = False


class UnavailableError(PostlaneError):
    """A collaborator (PostgreSQL, Redis, DNS) does not answer. Trying again later can help."""

    retryable = True


class ConfigurationError(PostlaneError):
    """A setting or file is wrong. The message names it, and says what to do."""
