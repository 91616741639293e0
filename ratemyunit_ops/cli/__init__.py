"""The door: commands, and nothing but commands. Nothing imports this package."""
