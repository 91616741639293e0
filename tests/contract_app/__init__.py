"""The smallest app that keeps `docs/contract-app.md`, and its image."""
