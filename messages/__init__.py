"""The life of one message: accepted, queued, claimed, retried, ended."""
