"""Pages of the site that are made from the code, the tutorials and the ledger, not written by hand.

``python -m mkdocs build --strict`` in the repository calls :mod:`analyses.site.hooks`.
"""
