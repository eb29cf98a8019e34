"""What happened to each message, recorded once, and who is told."""
