"""What the ledger computes: each function trains or builds networks and returns one dataset.

Functions are called as ``function(seeds=..., work=..., **settings)``. Their variables lie over
"seed" and further axes; entries name a variable and a place on its axes. ``work`` is a folder for
trained networks, for those that keep any.
"""
