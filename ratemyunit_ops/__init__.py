"""rmu: the deployment toolkit of RateMyUnit."""

__version__ = "0.1.0"
