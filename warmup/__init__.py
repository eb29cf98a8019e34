"""How an IP grows to its normal volume: plans, the ledger of each day, and the move from stage to stage."""
