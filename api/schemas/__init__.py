"""Shapes of bodies, as they are read and as OpenAPI shows them."""
