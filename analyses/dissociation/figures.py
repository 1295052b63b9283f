"""Figures of a double dissociation: S_mem against S_gen, and what they depend on."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from analyses.dissociation.computation import MODE, SCORE
from analyses.dissociation.label_places import label_places
from analyses.dissociation.thresholds import SELECTIVE_FROM
from analyses.dissociation.verdict import VERDICTS
from analyses.pages.labels import seeds_in_words
from analyses.pages.palette import GUIDE, INK, PLAIN, SHARE_SCALE
from analyses.pages.style import finish
from analyses.pages.wrapping import wrapped
from analyses.statistics.intervals import half_width

_FIRST, _LAST = -0.3, 1.08  # ends of the map's axes
_LETTER, _LINE = 0.017, 0.055  # size of a letter of a label, in the units of the map's axes
_SCORES = {
    "share": "share", "ipr": "IPR", "input_ipr": "IPR in", "output_ipr": "IPR out",
}  # fmt: skip
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "x")


def over_seeds(values: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the seeds, and half of its 95 % interval (Student's); NaN for two seeds or one.

    Of two, it is 12.7 standard errors wide.
    """
    n = values.notnull().sum("seed")
    error = (values.std("seed", ddof=1) / n**0.5).where(n > 2)
    return values.mean("seed").values, half_width(error.values, n.values)


def name_of(data: xr.Dataset, row: int) -> str:
    """A row in words, such as "1-layer transformer, heads.0"."""
    return f"{data.setting.values[row]}, {data.unit.values[row]}"


def primary(data: xr.Dataset) -> xr.Dataset:
    """The rows of the score and ablation that were named before anything was trained.

    Of data with one score and one ablation all rows, whatever these are.

    Raises:
        ValueError: there are several others, and not these.
    """
    there = set(zip(data.score.values.tolist(), data["mode"].values.tolist(), strict=True))
    if len(there) == 1:
        return data
    if (SCORE, MODE) not in there:
        raise ValueError(
            f"the data has several scores or modes, but not score={SCORE!r} and mode={MODE!r}, "
            "which this shows; select rows of one score and one mode"
        )
    return data.isel(row=(data.score.values == SCORE) & (data["mode"].values == MODE))


def judged(data: xr.Dataset) -> xr.Dataset:
    """The data with NaN for networks that do not do both, so that means leave them out."""
    does_both = (data.verdict != "not applicable") & (data.verdict != "")
    numbers = data.drop_vars("verdict")
    return numbers.where(does_both).assign(verdict=data.verdict)


def plot_map(
    data: xr.Dataset, *, title: str = "Are the two abilities in different units?"
) -> go.Figure:
    """Each network's units by S_mem and S_gen, with 95 % intervals over seeds.

    Grey: the same with as many units removed at random, mean over orders and seeds.
    """
    shown = judged(primary(data))
    figure = go.Figure()
    control = {name: shown[name].mean("order") for name in ("control_mem", "control_gen")}
    figure.add_scatter(
        x=control["control_mem"].mean("seed"),
        y=control["control_gen"].mean("seed"),
        mode="markers",
        marker={"color": GUIDE, "size": 9, "symbol": "circle-open"},
        name="as many units at random",
        hovertext=[name_of(shown, i) for i in range(shown.sizes["row"])],
    )
    (x, dx), (y, dy) = over_seeds(shown.S_mem), over_seeds(shown.S_gen)
    settings = list(dict.fromkeys(shown.setting.values.tolist()))
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    sizes = [(_LETTER * len(str(unit)), _LINE) for unit in shown.unit.values]
    corner = (_LAST - 0.07, _LAST - _LINE / 2, 0.14, _LINE)  # of the word "separable"
    centre, size = (_FIRST + _LAST) / 2, _LAST - _FIRST
    places = label_places(points, sizes, frame=(centre, centre, size, size), taken=[corner])
    for row in range(shown.sizes["row"]):
        setting = str(shown.setting.values[row])
        nth = settings.index(setting)
        figure.add_scatter(
            x=[x[row]],
            y=[y[row]],
            error_x={"array": [dx[row]], "thickness": 1},
            error_y={"array": [dy[row]], "thickness": 1},
            mode="markers+text",
            text=[str(shown.unit.values[row])],
            textposition=places[row],
            marker={"symbol": _SYMBOLS[nth % len(_SYMBOLS)], "size": 11, "color": PLAIN},
            name=setting,
            legendgroup=setting,
            showlegend=row == shown.setting.values.tolist().index(setting),
            hovertemplate="S_mem %{x:.2f}, S_gen %{y:.2f}",
        )
    for add in (figure.add_hline, figure.add_vline):
        add(SELECTIVE_FROM, line={"color": GUIDE, "dash": "dot", "width": 1})
    in_corners = {"xref": "x domain", "yref": "y domain", "font_color": INK, "showarrow": False}
    for (x, y), word in zip(((1, 1), (1, 0), (0, 1), (0, 0)), VERDICTS, strict=False):
        place = {"x": x, "xanchor": ["left", "right"][x], "y": y, "yanchor": ["bottom", "top"][y]}
        figure.add_annotation(text=f"<i>{word}</i>", **place, **in_corners)
    figure.update_xaxes(
        title="S_mem: least periodic out,<br>wrong labels lost less test lost",
        range=[_FIRST, _LAST],
    )
    figure.update_yaxes(
        title="S_gen: most periodic out,<br>test lost less wrong labels lost", range=[_FIRST, _LAST]
    )
    seeds = seeds_in_words(shown.sizes["seed"])
    return finish(figure, title=title, height=700, note=f"bars: 95 % over {seeds}")


def plot_dependence(data: xr.Dataset) -> go.Figure:
    """S_mem and S_gen of every network and unit, by the score that ranks and by the ablation."""
    data = judged(data)
    columns = list(dict.fromkeys(zip(data.score.values, data["mode"].values, strict=True)))
    names = list(dict.fromkeys(name_of(data, row) for row in range(data.sizes["row"])))
    titles = ["S_mem, least periodic units out", "S_gen, most periodic units out"]
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.12, subplot_titles=titles)
    for panel, quantity in enumerate(("S_mem", "S_gen"), 1):
        mean, half = over_seeds(data[quantity])
        shown = np.full((len(names), len(columns)), np.nan)
        words = np.full(shown.shape, "", dtype=object)
        for row in range(data.sizes["row"]):
            at = (
                names.index(name_of(data, row)),
                columns.index((data.score.values[row], data["mode"].values[row])),
            )
            shown[at] = mean[row]
            if np.isfinite(mean[row]):
                words[at] = _short(mean[row])
            if np.isfinite(half[row]):
                words[at] += f"<br>±{_short(half[row])}"
        scale = {"zmin": 0, "zmax": 1, "colorscale": SHARE_SCALE, "showscale": panel == 2}
        figure.add_heatmap(
            x=[f"{_SCORES[score]}, {mode}" for score, mode in columns],
            y=[wrapped(name, 24) for name in names],
            z=shown,
            text=words,
            texttemplate="%{text}",
            textfont={"size": 9},
            colorbar={"title": {"text": "selectivity", "side": "right"}, "thickness": 12},
            **scale,
            row=panel,
            col=1,
        )
    figure.update_yaxes(autorange="reversed")
    title = "By score and ablation: mean over seeds, ± its 95 % interval"
    seeds = seeds_in_words(data.sizes["seed"]) + "; empty: not applicable"
    figure = finish(figure, title=title, height=260 + 90 * len(names), note=seeds)
    figure.update_xaxes(showgrid=False, tickangle=90)
    return figure.update_yaxes(showgrid=False)


def _short(value: float) -> str:
    """Two digits without a zero in front, for a narrow cell."""
    return f"{value:.2f}".replace("0.", ".", 1)
