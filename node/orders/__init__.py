"""What was ordered: kept apart from the ledger, asked of the worklist, told to routes, jobs and result objects."""
