"""Every effect the product can have, by subject; `kinds` is the union and the parser."""
