"""The trainer, which trains many runs at once as a stack, and its parts."""
