"""Which IP sends."""
