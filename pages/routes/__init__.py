"""One module a noun, each with a `router`."""
