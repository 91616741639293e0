"""Tests that need nothing but Python: the engine, the planners, the laws."""
