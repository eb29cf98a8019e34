"""What is delivered, as a machine gets it."""
