"""Which phase a run is in: whether it generalises, and whether it memorises wrong labels.

Every run has exactly one phase. Memorisation is measured on labels that were really changed:
redrawing a label may return the true one. The history distinguishes Forgetting from Confusion.

Source: Doshi et al. 2023, arXiv:2310.13061, tables 1 and 2. The paper's rule uses the accuracy on
all training labels instead; for small corruption its conditions overlap. It gives the "published"
phase.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import phases
    >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
    >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
    >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
    >>> print(phases.classify(run))
    coexistence
    >>> data = phases.compute([run])
    >>> data.changed_accuracy.item(), data.test_accuracy.item()
    (1.0, 1.0)
    >>> figure = phases.plot_phases(data)
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
from analyses.pages.palette import INK, PHASE_COLOR
from analyses.pages.style import LEVEL, explain, finish
from analyses.runs_given import check_run, runs_of
from analyses.statistics.thresholds import GENERALISED_FROM, NOT_MEMORISED_TO
from analyses.statistics.wilson import interval_holds
from grokinterp import Run
from grokinterp.checks import check_number
from grokinterp.frozen import frozen_config
from grokinterp.short_text import short_repr

_PUBLISHED_FROM = 0.90  # train or test accuracy, in the paper's table 2


class Phase(StrEnum):
    """The paper's six phases, and two cases that it does not name."""

    COEXISTENCE = "coexistence"
    PARTIAL_INVERSION = "partial inversion"
    FULL_INVERSION = "full inversion"
    MEMORIZATION = "memorization"
    FORGETTING = "forgetting"
    CONFUSION = "confusion"
    CLEAN_GENERALIZATION = "clean generalization"  # generalises and no label was changed
    DIVERGED = "diverged"  # NaN or infinite loss or weights


@frozen_config
class Thresholds:
    """Accuracies that separate the phases."""

    learned: float = GENERALISED_FROM  # a subset with at least this accuracy counts as learned
    not_memorised: float = NOT_MEMORISED_TO  # one with at most this does not count as memorised

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
    """What decides a run's phase; accuracies are those of the last step, in evaluation mode."""

    test: float
    train: float
    changed: float  # on changed training labels, the wrong label being right; NaN without any
    unchanged: float  # on the other training labels; NaN without any
    max_test: float  # largest test accuracy in the history
    n_changed: int  # training labels that differ from the true ones
    corruption: float  # share of training labels that were redrawn, for the published rule
    diverged: bool = False

    @classmethod
    def of(cls, run: Run) -> "EndPoint":
        """The end point of a run; a run without an evaluated step counts as diverged."""
        subsets, history = ("test", "train", "changed", "unchanged"), run.history
        accuracies, max_test, diverged = dict.fromkeys(subsets, math.nan), math.nan, True
        if history.sizes["step"]:
            last = history.isel(step=-1)
            accuracies = {subset: float(last[f"{subset}_accuracy"]) for subset in subsets}
            max_test = float(history.test_accuracy.max())
            finite = np.isfinite([last.train_loss, last.test_loss, *last.norm.values]).all()
            diverged = run.diverged_at is not None or not finite
        return cls(
            **accuracies,
            max_test=max_test,
            n_changed=int(run.dataset.is_changed.sum()),
            corruption=run.config.data.corruption,
            diverged=diverged,
        )


@short_repr
@dataclass(frozen=True, kw_only=True, eq=False)  # eq=False: arrays have no single truth value
class EndPoints:
    """The fields of :class:`EndPoint` for many runs, as arrays that broadcast to one shape."""

    test: np.ndarray
    train: np.ndarray
    changed: np.ndarray
    unchanged: np.ndarray
    max_test: np.ndarray
    n_changed: np.ndarray
    corruption: np.ndarray
    diverged: np.ndarray


def classify(run: Run, thresholds: Thresholds | None = None) -> Phase:
    """The phase of a run at its last step.

    Examples:
        >>> import grokinterp as gi
        >>> from analyses import phases
        >>> config = gi.RunConfig().replace({"data.p": 11, "training.steps": 100})
        >>> run = gi.train(config.replace({"data.corruption": 0.3}))
        >>> print(phases.classify(run))
        memorization
    """
    check_run(run)
    return phase_of(EndPoint.of(run), thresholds)


def phase_of(end: EndPoint, thresholds: Thresholds | None = None) -> Phase:
    """The phase of an end point."""
    return Phase(phases_of(end, thresholds).item())


def phases_of(ends: EndPoint | EndPoints, thresholds: Thresholds | None = None) -> np.ndarray:
    """The phases of any number of end points, as an array of names.

    The first rule that holds decides; if none does, the phase is Confusion.
    """
    cut = thresholds or Thresholds()
    works = np.asarray(ends.test) >= cut.learned
    nothing_to_memorise = np.asarray(ends.n_changed) == 0
    memorised = np.asarray(ends.changed) >= cut.learned
    ignored = np.asarray(ends.changed) <= cut.not_memorised
    # NaN: all labels were changed, so that no unchanged label can be lost.
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
    """The phase by table 2 of the paper; where its rules overlap, the first one decides."""
    return Phase(published_phases_of(end).item())


def published_phases_of(ends: EndPoint | EndPoints) -> np.ndarray:
    """The published phases of any number of end points, as an array of names."""
    works = np.asarray(ends.test) >= _PUBLISHED_FROM
    fits = np.asarray(ends.train) >= _PUBLISHED_FROM
    return _first_that_holds(
        [
            (Phase.DIVERGED, np.asarray(ends.diverged)),
            (Phase.COEXISTENCE, works & fits),
            (Phase.FULL_INVERSION, works & (ends.train < 1.05 - np.asarray(ends.corruption))),
            (Phase.PARTIAL_INVERSION, works),
            (Phase.MEMORIZATION, fits),
            (Phase.FORGETTING, np.asarray(ends.max_test) >= _PUBLISHED_FROM),
        ],
        otherwise=Phase.CONFUSION,
    )


def is_borderline(end: EndPoint, n_test: int, thresholds: Thresholds | None = None) -> bool:
    """Whether sampling noise in the accuracies could change the phase.

    True if a threshold lies in the 95 % Wilson interval of the test accuracy or of the accuracy on
    changed labels.

    Args:
        end: the end point.
        n_test: number of test examples.
        thresholds: accuracies that separate the phases.
    """
    return bool(are_borderline(end, np.asarray(n_test), thresholds))


def are_borderline(
    ends: EndPoint | EndPoints, n_test: np.ndarray, thresholds: Thresholds | None = None
) -> np.ndarray | np.bool_:
    """:func:`is_borderline` for any number of end points and test-set sizes, as an array."""
    cut = thresholds or Thresholds()
    return interval_holds(ends.test, n_test, [cut.learned]) | interval_holds(
        ends.changed, ends.n_changed, [cut.learned, cut.not_memorised]
    )


def compute(runs: Run | Sequence[Run], thresholds: Thresholds | None = None) -> xr.Dataset:
    """Phases of one or several runs, with the accuracies that decide them.

    Args:
        runs: of any architectures.
        thresholds: accuracies that separate the phases; by default ``Thresholds()``.

    Returns:
        Dataset over "run": ``phase`` and ``published_phase`` (names); ``borderline`` (whether
        sampling noise could change the phase); ``once_generalised`` (at any step);
        ``train_accuracy``, ``test_accuracy``, ``changed_accuracy``, ``unchanged_accuracy`` and
        ``max_test_accuracy``, see :class:`EndPoint`; ``norm_ratio``, the final norm of all weights
        over its largest value (below 0.01 the network has collapsed). Coordinates:
        ``weight_decay``, ``train_fraction``, ``corruption`` and ``seed``.
    """
    runs = runs_of(runs)
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


_HOVER = (
    "weight decay %{customdata[0]}, train fraction %{customdata[1]}, "
    "corruption %{customdata[2]}, seed %{customdata[3]}<br>corrupted %{x:.3f}, test %{y:.3f}"
)


def plot_phases(phases: xr.Dataset, *, title: str = "Phases") -> go.Figure:
    """Test accuracy of each run against its accuracy on corrupted labels, coloured by phase.

    A run without corrupted labels is drawn as an open circle at 0.
    """
    figure = go.Figure()
    for name, colour in PHASE_COLOR.items():
        here = phases.isel(run=phases.phase.values == name)
        if here.sizes["run"]:
            symbol = np.where(here.changed_accuracy.isnull(), "circle-open", "circle")
            outline = {"color": INK, "width": 1}
            settings = [here.weight_decay, here.train_fraction, here.corruption, here.seed]
            figure.add_scatter(
                x=here.changed_accuracy.fillna(0.0),
                y=here.test_accuracy,
                mode="markers",
                name=name,
                marker={"color": colour, "symbol": symbol, "size": 12, "line": outline},
                customdata=np.stack(settings, axis=1),
                hovertemplate=f"{_HOVER}<extra>{name}</extra>",
            )
    if phases.changed_accuracy.isnull().any():
        explain(figure, "no corrupted label", symbol="circle-open", size=12)
    figure.add_hline(phases.attrs["learned"], **LEVEL)
    for level in ("learned", "not_memorised"):
        figure.add_vline(phases.attrs[level], **LEVEL)
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
    """One row per run: its settings, its phase, and whether sampling noise could change that."""
    columns = ("weight_decay", "train_fraction", "corruption", "seed", "phase", "borderline")
    return [
        {name.replace("_", " "): data[name].values[i].item() for name in columns}
        for i in range(data.sizes["run"])
    ]
