"""The far side: what runs near the compute. Standard library only, Python 3.9+."""
