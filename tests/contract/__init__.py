"""The ports' contracts, on a plain AWS emulator in this process and, where named, on a real account."""
