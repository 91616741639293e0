"""Plan, progress, report and failure on the screen: rich text for people, JSON for programs."""
