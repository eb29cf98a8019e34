"""What never leaves: mail of test keys and captured mail, and the recipients that are only simulated."""
