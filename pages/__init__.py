"""Pages for recipients, without keys or sessions: signed links say who asks for what."""
