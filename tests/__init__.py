"""Tests of rmu: pure on fakes, contract, Terraform, and the twin."""
