"""The ledger: every published number, figure and claim of both papers, next to ours.

One file per part of a paper declares entries (``paper1/``, ``paper2/``); ``measures/`` has the
functions that compute our side; ``targets/`` the published values; ``results/`` what was computed.
``grokinterp ledger`` prints the table, ``grokinterp ledger run`` computes what is missing.
"""
