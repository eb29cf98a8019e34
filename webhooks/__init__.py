"""Telling applications what happened: the outbox, their endpoints, signing and sending."""
