"""Celery lives only here: thin tasks around plain functions, and the wiring of one process."""
