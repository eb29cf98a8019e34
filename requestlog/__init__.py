"""Requests that applications made to the API: gathered beside them, kept for some days, without what they say."""
