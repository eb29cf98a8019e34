"""Filters of contacts: their language in its two forms, text and JSON (`reading`), and what PostgreSQL is asked
(`condition`).
"""
