"""Which phase a run is in: whether it generalises, and whether it memorises wrong labels.

The rules are a partition: every run has exactly one phase. Memorisation is measured on labels that
really were changed, and Forgetting is told from Confusion by the history.

Source: Doshi et al. 2023, arXiv:2310.13061, tables 1 and 2, whose own rule (in train accuracy) is
kept as the "published" phase; it is no partition for small corruption.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from grokinterp import Run

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr


class Phase(str, Enum):
    """The papers' names, and two cases that they leave out."""

    COEXISTENCE = "coexistence"
    PARTIAL_INVERSION = "partial inversion"
    FULL_INVERSION = "full inversion"
    MEMORIZATION = "memorization"
    FORGETTING = "forgetting"
    CONFUSION = "confusion"
    CLEAN_GENERALIZATION = "clean generalization"  # generalises and no label was changed
    DIVERGED = "diverged"  # NaN or infinite loss or weights; not a phase

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Accuracies from which a subset counts as learned, and up to which as not memorised."""

    learned: float = 0.90
    not_memorised: float = 0.10

    def __post_init__(self) -> None:
        if not 0 <= self.not_memorised < self.learned <= 1:
            raise ValueError(
                "thresholds are accuracies with 0 <= not_memorised < learned <= 1, got "
                f"not_memorised={self.not_memorised}, learned={self.learned}"
            )


@dataclass(frozen=True, kw_only=True)
class EndPoint:
    """What the rules look at: accuracies at the last step, in evaluation mode."""

    test: float
    train: float
    changed: float  # accuracy on the given labels of really-changed examples; NaN if there are none
    unchanged: float
    max_test: float  # largest test accuracy in the history
    n_changed: int
    corruption: float  # nominal, for the published rule
    diverged: bool = False

    @classmethod
    def of(cls, run: Run) -> "EndPoint":
        """Read a run's history; a run without any finite row is diverged."""
        history, corruption = run.history, run.config.data.corruption
        n_changed = int(run.dataset.is_changed.sum())
        if history.sizes["step"] == 0:
            nan = math.nan
            return cls(test=nan, train=nan, changed=nan, unchanged=nan, max_test=nan,
                       n_changed=n_changed, corruption=corruption, diverged=True)  # fmt: skip
        last = history.isel(step=-1)
        finite = bool(np.isfinite([last.train_loss, last.test_loss, *last.norm.values]).all())
        return cls(
            test=float(last.test_accuracy),
            train=float(last.train_accuracy),
            changed=float(last.changed_accuracy),
            unchanged=float(last.unchanged_accuracy),
            max_test=float(history.test_accuracy.max()),
            n_changed=n_changed,
            corruption=corruption,
            diverged=run.diverged_at is not None or not finite,
        )


def classify(run: Run, thresholds: Thresholds | None = None) -> Phase:
    """The phase of a run at its last step."""
    return phase_of(EndPoint.of(run), thresholds)


def phase_of(end: EndPoint, thresholds: Thresholds | None = None) -> Phase:
    """The phase of an end point; the first rule that matches wins, and the last always does."""
    cut = thresholds or Thresholds()
    if end.diverged:
        return Phase.DIVERGED
    memorised = end.n_changed == 0 or end.changed >= cut.learned
    kept = math.isnan(end.unchanged) or end.unchanged >= cut.learned  # NaN: all were changed
    if end.test >= cut.learned:
        if end.n_changed == 0:
            return Phase.CLEAN_GENERALIZATION
        if end.changed >= cut.learned:
            return Phase.COEXISTENCE
        return Phase.FULL_INVERSION if end.changed <= cut.not_memorised else Phase.PARTIAL_INVERSION
    if kept and memorised:
        return Phase.MEMORIZATION
    return Phase.FORGETTING if end.max_test >= cut.learned else Phase.CONFUSION


def published_phase_of(end: EndPoint) -> Phase:
    """Table 2 of the paper, in train accuracy; where its rules overlap the first one named wins."""
    if end.diverged:
        return Phase.DIVERGED
    if end.test >= 0.90:
        if end.train >= 0.90:
            return Phase.COEXISTENCE
        full = end.train < 1.05 - end.corruption
        return Phase.FULL_INVERSION if full else Phase.PARTIAL_INVERSION
    if end.train >= 0.90:
        return Phase.MEMORIZATION
    return Phase.FORGETTING if end.max_test >= 0.90 else Phase.CONFUSION


def is_borderline(end: EndPoint, n_test: int, thresholds: Thresholds | None = None) -> bool:
    """Whether sampling noise could move the phase.

    True if the 95 % Wilson interval of the test accuracy, or of the accuracy on changed labels,
    holds a threshold.
    """
    from scipy.stats import binomtest

    cut = thresholds or Thresholds()

    def holds(share: float, n: int, levels: Sequence[float]) -> bool:
        if n == 0 or math.isnan(share):
            return False
        interval = binomtest(round(share * n), n).proportion_ci(method="wilson")
        return any(interval.low <= level <= interval.high for level in levels)

    return holds(end.test, n_test, [cut.learned]) or holds(
        end.changed, end.n_changed, [cut.learned, cut.not_memorised]
    )


def compute(runs: Run | Sequence[Run], thresholds: Thresholds | None = None) -> "xr.Dataset":
    """Phases of one or several runs, with everything that decides them.

    Returns:
        Dataset over "run": ``phase``, ``published_phase``, ``borderline``, ``once_generalised``,
        the accuracies of :class:`EndPoint`, ``norm_ratio`` (final over largest total weight norm;
        below 0.01 is the collapse of appendix E) and the coordinates ``weight_decay``,
        ``train_fraction``, ``corruption`` and ``seed``.
    """
    import xarray as xr

    runs = [runs] if isinstance(runs, Run) else list(runs)
    ends = [EndPoint.of(run) for run in runs]
    cut = thresholds or Thresholds()
    n_tests = [int(run.dataset.is_test.sum()) for run in runs]
    columns = {
        "phase": [str(phase_of(end, cut)) for end in ends],
        "published_phase": [str(published_phase_of(end)) for end in ends],
        "borderline": [is_borderline(end, n, cut) for end, n in zip(ends, n_tests, strict=True)],
        "once_generalised": [end.max_test >= cut.learned for end in ends],
        "norm_ratio": [_norm_ratio(run) for run in runs],
    } | {
        f"{name}_accuracy": [getattr(end, name) for end in ends]
        for name in ("train", "test", "changed", "unchanged", "max_test")
    }
    coordinates = {
        "weight_decay": [run.config.training.weight_decay for run in runs],
        "train_fraction": [run.config.data.train_fraction for run in runs],
        "corruption": [run.config.data.corruption for run in runs],
        "seed": [run.config.seed for run in runs],
    }
    return xr.Dataset(
        {name: ("run", values) for name, values in columns.items()},
        coords={name: ("run", values) for name, values in coordinates.items()},
        attrs={"learned": cut.learned, "not_memorised": cut.not_memorised},
    )


def plot_phases(phases: "xr.Dataset", *, title: str = "Phases") -> "go.Figure":
    """Runs in the plane that the phases divide: test accuracy against memorised labels.

    A run without corrupted labels has nothing to memorise and is drawn hollow at 0.
    """
    import plotly.graph_objects as go

    from analyses.style import GREY, PHASE_COLOR, finish

    figure = go.Figure()
    for name, color in PHASE_COLOR.items():
        here = phases.isel(run=phases.phase.values == name)
        if here.sizes["run"]:
            figure.add_scatter(
                x=here.changed_accuracy.fillna(0.0), y=here.test_accuracy, name=name,
                mode="markers", marker_symbol=np.where(
                    here.changed_accuracy.isnull(), "circle-open", "circle"
                ),
                marker={"color": color, "size": 12, "line": {"color": "black", "width": 1}},
                customdata=np.stack([here.weight_decay, here.train_fraction, here.corruption,
                                     here.seed], axis=1),
                hovertemplate="weight decay %{customdata[0]}, train fraction %{customdata[1]}, "
                "corruption %{customdata[2]}, seed %{customdata[3]}<br>"
                "corrupted %{x:.3f}, test %{y:.3f}<extra>" + name + "</extra>",
            )  # fmt: skip
    cuts: dict[str, Any] = {"line_dash": "dot", "line_color": GREY}
    figure.add_hline(phases.attrs["learned"], **cuts)
    figure.add_vline(phases.attrs["learned"], **cuts)
    figure.add_vline(phases.attrs["not_memorised"], **cuts)
    figure.update_xaxes(title="accuracy on corrupted training labels", range=[-0.03, 1.03])
    figure.update_yaxes(title="test accuracy", range=[-0.03, 1.03])
    return finish(figure, title=title)


def _norm_ratio(run: Run) -> float:
    total = np.sqrt((run.history.norm**2).sum("weight"))
    return float(total[-1] / total.max()) if total.size else math.nan


if __name__ == "__main__":
    from analyses.script import run_script

    run_script("phases", compute, [plot_phases])
