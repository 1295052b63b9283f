"""The stacked trainer and what it is made of."""
