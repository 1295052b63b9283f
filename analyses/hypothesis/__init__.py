"""Hypothesis 2.2 of Doshi et al. 2023 (arXiv:2310.13061), tested on any network."""

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
