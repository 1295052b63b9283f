"""One offline HTML page in which a trained network runs and its units can be switched off.

``payload`` gathers what the page needs from a run, ``packing`` makes text of arrays, ``document``
fills the template; ``page/`` holds the template, the style and the JavaScript, which ``document``
puts into the page.
"""

from analyses.explorer.document import write_explorer

__all__ = ["write_explorer"]
