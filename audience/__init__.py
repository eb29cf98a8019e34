"""Who wants which mail: topics and the choices people made about them."""
