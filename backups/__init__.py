"""A copy of an installation on disk, and an installation made of one. See docs/operations.md, Backup."""
