"""RateMyUnit: search university units, and scrape them from catalogues with a real browser."""
