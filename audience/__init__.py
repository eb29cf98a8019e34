"""Whom we write to, about what, and what they say to it: types of mail (topics) and choices."""
