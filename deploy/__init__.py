"""What belongs to running Postlane on servers: systemd units, and the page of all settings."""
