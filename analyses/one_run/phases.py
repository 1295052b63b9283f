"""Which phase a run is in: whether it generalises, and whether it memorises wrong labels.

The rules are a partition: every run has exactly one phase. Memorisation is measured on labels that
really were changed, and Forgetting is told from Confusion by the history.

Source: Doshi et al. 2023, arXiv:2310.13061, tables 1 and 2, whose own rule (in train accuracy) is
kept as the "published" phase; it is no partition for small corruption.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.pages.finding import Finding
from analyses.pages.style import GREY, PHASE_COLOR, finish
from analyses.statistics.wilson import interval_holds
from grokinterp import Run
from grokinterp.checks import check_number
from grokinterp.frozen import frozen_config
from grokinterp.short_text import short_repr


class Phase(StrEnum):
    """The papers' names, and two cases that they leave out."""

    COEXISTENCE = "coexistence"
    PARTIAL_INVERSION = "partial inversion"
    FULL_INVERSION = "full inversion"
    MEMORIZATION = "memorization"
    FORGETTING = "forgetting"
    CONFUSION = "confusion"
    CLEAN_GENERALIZATION = "clean generalization"  # generalises and no label was changed
    DIVERGED = "diverged"  # NaN or infinite loss or weights; not a phase


@frozen_config
class Thresholds:
    """Accuracies from which a subset counts as learned, and up to which as not memorised."""

    learned: float = 0.90
    not_memorised: float = 0.10

    def __post_init__(self) -> None:
        for name in ("learned", "not_memorised"):
            check_number(name, getattr(self, name))
        if not 0 <= self.not_memorised < self.learned <= 1:
            raise ValueError(
                "thresholds are accuracies with 0 <= not_memorised < learned <= 1, got "
                f"not_memorised={self.not_memorised}, learned={self.learned}"
            )


@short_repr
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


@short_repr
@dataclass(frozen=True, kw_only=True, eq=False)  # eq=False: arrays have no single truth value
class EndPoints:
    """:class:`EndPoint` of many runs: arrays of one shape, or that broadcast to one."""

    test: np.ndarray
    train: np.ndarray
    changed: np.ndarray
    unchanged: np.ndarray
    max_test: np.ndarray
    n_changed: np.ndarray
    corruption: np.ndarray
    diverged: np.ndarray


def classify(run: Run, thresholds: Thresholds | None = None) -> Phase:
    """The phase of a run at its last step."""
    return phase_of(EndPoint.of(run), thresholds)


def phase_of(end: EndPoint, thresholds: Thresholds | None = None) -> Phase:
    """The phase of an end point; the first rule that matches wins, and the last always does."""
    return Phase(phases_of(end, thresholds).item())


def phases_of(ends: EndPoint | EndPoints, thresholds: Thresholds | None = None) -> np.ndarray:
    """:func:`phase_of` for any number of end points: an array of names."""
    cut = thresholds or Thresholds()
    works = np.asarray(ends.test) >= cut.learned
    nothing_to_memorise = np.asarray(ends.n_changed) == 0
    memorised = np.asarray(ends.changed) >= cut.learned
    ignored = np.asarray(ends.changed) <= cut.not_memorised
    # NaN: every label was changed, and there is nothing else to keep.
    kept = np.isnan(ends.unchanged) | (np.asarray(ends.unchanged) >= cut.learned)
    return _first_that_holds(
        [
            (Phase.DIVERGED, np.asarray(ends.diverged)),
            (Phase.CLEAN_GENERALIZATION, works & nothing_to_memorise),
            (Phase.COEXISTENCE, works & memorised),
            (Phase.FULL_INVERSION, works & ignored),
            (Phase.PARTIAL_INVERSION, works),
            (Phase.MEMORIZATION, kept & (nothing_to_memorise | memorised)),
            (Phase.FORGETTING, np.asarray(ends.max_test) >= cut.learned),
        ],
        otherwise=Phase.CONFUSION,
    )


def published_phase_of(end: EndPoint) -> Phase:
    """Table 2 of the paper, in train accuracy; where its rules overlap the first one named wins."""
    return Phase(published_phases_of(end).item())


def published_phases_of(ends: EndPoint | EndPoints) -> np.ndarray:
    """:func:`published_phase_of` for any number of end points: an array of names."""
    works, fits = np.asarray(ends.test) >= 0.90, np.asarray(ends.train) >= 0.90
    return _first_that_holds(
        [
            (Phase.DIVERGED, np.asarray(ends.diverged)),
            (Phase.COEXISTENCE, works & fits),
            (Phase.FULL_INVERSION, works & (ends.train < 1.05 - np.asarray(ends.corruption))),
            (Phase.PARTIAL_INVERSION, works),
            (Phase.MEMORIZATION, fits),
            (Phase.FORGETTING, np.asarray(ends.max_test) >= 0.90),
        ],
        otherwise=Phase.CONFUSION,
    )


def is_borderline(end: EndPoint, n_test: int, thresholds: Thresholds | None = None) -> bool:
    """Whether sampling noise could move the phase.

    True if the 95 % Wilson interval of the test accuracy, or of the accuracy on changed labels,
    holds a threshold.
    """
    return bool(are_borderline(end, np.asarray(n_test), thresholds))


def are_borderline(
    ends: EndPoint | EndPoints, n_test: np.ndarray, thresholds: Thresholds | None = None
) -> np.ndarray | np.bool_:
    """:func:`is_borderline` for any number of end points and their test-set sizes."""
    cut = thresholds or Thresholds()
    return interval_holds(ends.test, n_test, [cut.learned]) | interval_holds(
        ends.changed, ends.n_changed, [cut.learned, cut.not_memorised]
    )


def compute(runs: Run | Sequence[Run], thresholds: Thresholds | None = None) -> xr.Dataset:
    """Phases of one or several runs, with everything that decides them.

    Returns:
        Dataset over "run": ``phase``, ``published_phase``, ``borderline``, ``once_generalised``,
        the accuracies of :class:`EndPoint`, ``norm_ratio`` (final over largest total weight norm;
        below 0.01 is the collapse of appendix E) and the coordinates ``weight_decay``,
        ``train_fraction``, ``corruption`` and ``seed``.
    """
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


def plot_phases(phases: xr.Dataset, *, title: str = "Phases") -> go.Figure:
    """Runs in the plane that the phases divide: test accuracy against memorised labels.

    A run without corrupted labels has nothing to memorise and is drawn hollow at 0.
    """
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


def _first_that_holds(
    rules: Sequence[tuple[Phase, np.ndarray | np.bool_]], otherwise: Phase
) -> np.ndarray:
    names, conditions = [str(phase) for phase, _ in rules], [holds for _, holds in rules]
    return np.select(conditions, names, default=str(otherwise))


def _norm_ratio(run: Run) -> float:
    total = np.sqrt((run.history.norm**2).sum("weight"))
    return float(total[-1] / total.max()) if total.size else math.nan


def analysis(runs: Sequence[Run]) -> Finding:
    """The page of ``grokinterp analyse``."""
    data = compute(runs)
    return Finding(data=data, figures=[plot_phases(data)], rows=table(data))


def table(data: xr.Dataset) -> list[dict[str, Any]]:
    """One row per run: its settings, its phase, and whether noise could move it to another."""
    columns = {
        "weight decay": data.weight_decay, "train fraction": data.train_fraction,
        "corruption": data.corruption, "seed": data.seed, "phase": data.phase,
        "borderline": data.borderline,
    }  # fmt: skip
    return [
        {name: column.values[i].item() for name, column in columns.items()}
        for i in range(data.sizes["run"])
    ]
