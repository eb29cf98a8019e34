"""Feature flags: declared in code, switched by operators while everything runs."""
