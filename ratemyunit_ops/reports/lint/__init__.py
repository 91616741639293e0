"""The lint of migrations: what is unsafe under traffic, why, and the safe way. `judging.examine` is the way in."""
