"""Tests of Hypothesis 2.2 of Doshi et al. 2023 (arXiv:2310.13061) on any network.

:func:`compute` takes runs, :func:`compute_model` a network without a run; both give a verdict and
the numbers behind it. :mod:`analyses.hypothesis.evaluate` states the hypothesis and the rule.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import hypothesis
    >>> solution = gi.closed_form_mlp(p=13, d_mlp=60)
    >>> data = hypothesis.compute_model(solution, "addition", random_draws=3)
    >>> data.verdict.item()
    'supported'
    >>> figure = hypothesis.plot_verdicts(data)
"""

from analyses.hypothesis.evaluate import compute, compute_model, join
from analyses.hypothesis.figures import plot_spectra, plot_table, plot_verdicts, table, verdict_line

__all__ = [
    "compute",
    "compute_model",
    "join",
    "plot_spectra",
    "plot_table",
    "plot_verdicts",
    "table",
    "verdict_line",
]
