"""Do: the journal, the lease and the only loop."""
