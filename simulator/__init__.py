"""The practice internet: simulated mailbox providers and their DNS on loopback, to try Postlane before real mail."""
