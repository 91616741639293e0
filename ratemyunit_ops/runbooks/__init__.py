"""Runbooks as data: what a file may say, how it is read, what it proves, and what is wrong with it. Pure."""
