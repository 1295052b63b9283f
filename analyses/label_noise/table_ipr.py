"""How periodic input and output tables are, side by side (Doshi et al. 2023, Figs. 7 and 12 to 14).

The paper draws histograms of rows' IPR for transformers and three-layer networks that differ in one
setting. Every such figure is a preset of ``grokinterp sweep``, from which networks and values are
taken; here they are trained at one train fraction and corruption, and all rows are kept. These are
0.9 and 0.1 in Fig. 13, and 0.8 and 0.2 in Figs. 12 and 14. The paper does not state those of Fig.
7; here they are 0.8 and 0.2, too.

"small" has modulus 47 for three-layer networks and 59 for transformers, which do not generalise mod
47. Where a preset has weight decay (1 in Figs. 12 and 14), it has 10 or 3 instead. This is what was
tried, with seed 0. The three-layer network mod 47 memorises at 3 and inverts fully at 10. The
transformer of four heads was to end with a test accuracy of at least 0.9. Mod 47 it memorises at 1,
and ends with 0.65 at 2, 0.68 at 3, 0.85 at 5, 0.19 at 10 (3000 steps) and 0.55 at 7 (1500 steps);
mod 59 with 0.98 at 3 and 0.59 at 5 (2000 steps).

Examples:
    >>> import grokinterp as gi
    >>> from analyses import presets
    >>> from analyses.label_noise import table_ipr
    >>> wanted, few = table_ipr.wanted("fig14", "tiny", seeds=1), {"training.steps": 10}
    >>> runs = gi.train_many([named.config.replace(few) for named in wanted])
    >>> data = table_ipr.compute(runs, presets.get("fig14").panel)
    >>> data.value.values.tolist(), data.table.values.tolist()
    (['standard', 'lazy'], ['input', 'output'])
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import plotly.graph_objects as go
import typer
import xarray as xr

from analyses.announcement import Announcement
from analyses.label_noise.grids import grid, side_by_side
from analyses.label_noise.words import counted, interval_in_words
from analyses.one_run import row_ipr
from analyses.one_run.phases import EndPoint, phase_of
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding
from analyses.pages.labels import seeds_in_words
from analyses.phase_diagrams import presets
from analyses.phase_diagrams.panels import axis_label, value_label
from analyses.statistics.over_runs import t_interval
from grokinterp import Run, RunConfig
from grokinterp.checks import check_choice
from grokinterp.sweeps.collect import Named, collect

CELLS = {  # train fraction and corruption of each preset
    "fig7a": (0.8, 0.2),
    "fig7b": (0.8, 0.2),
    "fig12-depth": (0.8, 0.2),
    "fig12-heads": (0.8, 0.2),
    "fig12-tied": (0.8, 0.2),
    "fig13": (0.9, 0.1),
    "fig14": (0.8, 0.2),
}
_INTERVAL = ("mean", "low", "high")
# What the smaller sizes change, for transformers and for networks of layers.
_TRANSFORMER: dict[str, dict[str, Any]] = {
    "tiny": {"data.p": 13, "model.d_model": 16, "training.steps": 60},
    "small": {"data.p": 59, "model.d_model": 64, "training.steps": 2000, "training.lr": 2e-3},
    "published": {},
}
_LAYERS: dict[str, dict[str, Any]] = {
    "tiny": {"data.p": 13, "model.d_mlp": 32, "training.steps": 60},
    "small": {"data.p": 47, "model.d_mlp": 250, "training.steps": 1500, "training.lr": 3e-3},
    "published": {},
}


def wanted(figure: str, size: str, seeds: int) -> list[Named]:
    """The runs of a figure: every value of its preset with seeds 0, 1, ..."""
    check_choice("figure", figure, CELLS)
    preset = presets.get(figure)
    cell: dict[str, float] = dict(zip((presets.X, presets.Y), CELLS[figure], strict=True))
    values = preset.values[:2] if size == "tiny" else preset.values
    return grid(figure, network(figure, size).replace(cell), preset.panel, values, seeds)


def network(figure: str, size: str) -> RunConfig:
    """A figure's network and training at a size; its cell and panels are those of the preset."""
    check_choice("size", size, _LAYERS)
    base = presets.get(figure).config("full")
    has_layers = base.to_dict()["model"]["kind"] == "mlp"
    smaller = (_LAYERS if has_layers else _TRANSFORMER)[size]
    if size == "small" and base.training.weight_decay:
        smaller = smaller | {"training.weight_decay": 10.0 if has_layers else 3.0}
    return base.replace(smaller)


def compute(runs: Sequence[Run], path: str) -> xr.Dataset:
    """IPR of all rows, and the phase, of runs that differ in one setting and in the seed.

    Args:
        runs: every value of the setting with every seed.
        path: of the setting, such as "training.weight_decay".

    Returns:
        Dataset over "value" (as text, in the order of the runs) and "seed":

        - (value, seed, table, feature): ``ipr``, NaN for a dead row; tables as for ``row_ipr``;
        - (value, seed, table): ``mean_ipr`` over living rows, ``total_ipr``, ``n_features``,
          ``n_dead``;
        - (value, seed): ``phase``, a name; ``test`` and ``changed`` accuracies at the last step;
        - (value, table): ``mean``, ``low``, ``high``: ``mean_ipr`` over seeds with its 95 %
          Student-t interval, NaN for fewer than two seeds.

    Raises:
        ValueError: a value lacks one of the seeds, or has it twice.
    """
    data = side_by_side(runs, path, _of_run, axis="value")
    data = data.assign_coords(value=[value_label(value) for value in data.value.values.tolist()])
    return data.merge(t_interval(data.mean_ipr)).assign_attrs(setting=axis_label(path))


def _of_run(run: Run) -> xr.Dataset:
    end = EndPoint.of(run)
    tables = row_ipr.compute(run).isel(run=0, drop=True)
    return tables.assign(phase=str(phase_of(end)), test=end.test, changed=end.changed)


def plot_tables(data: xr.Dataset, *, title: str) -> go.Figure:
    """Histograms of the rows of all seeds, a row of panels for each value of the setting."""
    named = data.assign_coords(
        value=[f"{data.attrs['setting']} {value}" for value in data.value.values]
    ).rename(value="run")
    rows = named.ipr.stack(row=("seed", "feature")).drop_vars(["row", "seed", "feature"])
    pooled = xr.merge(
        [
            rows.rename(row="feature"),
            named[["mean_ipr", "total_ipr"]].mean("seed"),
            named[["n_features", "n_dead"]].sum("seed"),
        ]
    )
    return row_ipr.plot_rows(pooled, title=title, seeds=seeds_in_words(data.sizes["seed"]))


def table(data: xr.Dataset, figure: str) -> list[dict[str, object]]:
    """One row for each value of the setting: its mean row IPR, accuracies and phases."""
    rows = []
    for value in data.value.values:
        here = data.sel(value=value)
        row: dict[str, object] = {"figure": figure, data.attrs["setting"]: str(value)}
        for name in row_ipr.TABLES:
            of_table = here.sel(table=name)
            row[f"{name} IPR"] = interval_in_words(*(float(of_table[n]) for n in _INTERVAL))
        row |= {name: float(here[name].mean()) for name in ("test", "changed")}
        row["phase"] = counted(here.phase.values)
        rows.append(row)
    return rows


def experiment(
    out: Out,
    size: Size = "small",
    seeds: Seeds = 3,
    only: Annotated[list[str] | None, typer.Option(help=f"of {', '.join(CELLS)}")] = None,
) -> Iterator[Announcement | Finding]:
    """Train transformers and three-layer networks that differ in one setting; IPR of their rows."""
    figures = list(only or CELLS)
    runs = {figure: wanted(figure, size, seeds) for figure in figures}
    yield Announcement.of(out, [named for of_figure in runs.values() for named in of_figure])
    for figure, of_figure in runs.items():
        preset = presets.get(figure)
        data = compute(collect(out, of_figure), preset.panel)
        title = f"{preset.figure} ({figure}): IPR of input and output rows"
        yield Finding(
            data=data,
            figures=[plot_tables(data, title=title)],
            rows=table(data, figure),
            name=f"table_ipr-{figure}",
        )
