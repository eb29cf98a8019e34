"""Laying Postlane out on a server that has systemd: which files, whose, and what stands in their way."""
