"""Kinds of compute: each launches workers and sees what became of them."""
