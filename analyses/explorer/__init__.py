"""Offline HTML pages: one that takes a trained network apart, and one for the cells of a sweep.

``payload`` gathers what the page needs from a run, ``packing`` makes text of arrays, ``document``
fills the template; ``sweep_payload`` and ``sweep_document`` do so for a sweep. ``page/`` holds the
templates, the styles and the JavaScript, which ``assets`` puts into the pages.
"""

from analyses.explorer.document import write_explorer
from analyses.explorer.sweep_document import write_sweep_explorer

__all__ = ["write_explorer", "write_sweep_explorer"]
