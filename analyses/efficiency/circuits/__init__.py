"""Memorising and generalising circuits: what they are, where they come from, what they answer.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency.circuits.sources import closed_form
    >>> circuit = closed_form(gi.DataConfig(p=13), d_mlp=200)
    >>> circuit.kind, int(circuit.seen.sum())
    ('generalising', 0)
"""
