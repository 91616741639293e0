"""The scraper: adapters that read catalogues, a pool of browsers, and what keeps both from doing harm.

Nothing in here knows a database: it asks and tells a `Repository` (port.py), and the only module that puts rows behind
that is `ratemyunit.repository`. A test reads the imports.
"""
