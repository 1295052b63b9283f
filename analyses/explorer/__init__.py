"""Offline HTML pages: one that takes a trained network apart, and one for the cells of a sweep.

``payload`` gathers what the page needs from a run, ``packing`` makes text of arrays, ``document``
fills the template; ``sweep_payload`` and ``sweep_document`` do so for a sweep. ``page/`` holds the
templates, the styles and the JavaScript, which ``assets`` puts into the pages.

Examples:
    >>> from pathlib import Path
    >>> import grokinterp as gi
    >>> from analyses.explorer import write_explorer
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> about = write_explorer(run, "explorer.html", name="my run")
    >>> about["networks"], about["bytes"] == Path("explorer.html").stat().st_size
    (2, True)
"""

from analyses.explorer.document import write_explorer
from analyses.explorer.sweep_document import write_sweep_explorer

__all__ = ["write_explorer", "write_sweep_explorer"]
