"""ANSWER: read-only questions to frozen reports. No plan, no lease, no journal writing."""
