"""Memorising and generalising circuits: what they are, where they come from, what they answer."""
