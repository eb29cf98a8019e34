"""Pages that recipients see, without a key: unsubscribing, preferences, links in mail. Acts on POST only."""
