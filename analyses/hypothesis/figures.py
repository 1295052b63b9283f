"""Figures and a table of the dataset of :func:`analyses.hypothesis.compute`.

Examples:
    >>> import grokinterp as gi
    >>> from analyses import hypothesis
    >>> solution = gi.closed_form_mlp(p=13, d_mlp=60)
    >>> data = hypothesis.compute_model(solution, "addition", random_draws=3)
    >>> row = hypothesis.table(data)[0]
    >>> row["architecture"], row["accuracy"], row["verdict"]
    ('MLP 1x60 square', 1.0, 'supported')
    >>> figure = hypothesis.plot_spectra(data)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from analyses.pages.palette import FAINT, GUIDE, INK, PLAIN, SERIES
from analyses.pages.style import finish, stacked_panels
from analyses.pages.wrapping import wrapped

VERDICTS_CAPTION = (
    "Accuracy with some frequencies taken out of the embedding. If the hypothesis holds, the key "
    "frequencies alone keep it, and it falls without them and not without others."
)
VERDICT_COLOR = {"supported": PLAIN, "not supported": INK, "not applicable": GUIDE}
# Columns of the table: heading, variable ("judged" is the accuracy on ``judged_on``) and position.
_NUMBERS: dict[str, tuple[str, dict[str, str]]] = {
    "accuracy": ("judged", {"condition": "full"}),
    "train accuracy": ("accuracy", {"condition": "full", "subset": "train"}),
    "memorised": ("memorised", {"condition": "full"}),
    "row-wise IPR": ("periodicity", {"measure": "row_ipr", "of": "network"}),
    "row-wise IPR, shuffled": ("periodicity", {"measure": "row_ipr", "of": "shuffled"}),
    "total IPR": ("periodicity", {"measure": "total_ipr", "of": "network"}),
    "total IPR, shuffled": ("periodicity", {"measure": "total_ipr", "of": "shuffled"}),
    "feature IPR": ("periodicity", {"measure": "feature_ipr", "of": "network"}),
    "feature IPR, shuffled": ("periodicity", {"measure": "feature_ipr", "of": "shuffled"}),
    "logits explained": ("logit_explained", {}),
    "neurons": ("neuron_share", {"of": "network"}),
    "neurons, shuffled": ("neuron_share", {"of": "shuffled"}),
    "frequencies kept": ("n_kept", {}),
    "only key": ("judged", {"condition": "only_key"}),
    "without key": ("judged", {"condition": "without_key"}),
    "without random": ("judged", {"condition": "without_random"}),
}
_SETTING = ("architecture", "operation", "p", "train_fraction", "corruption", "weight_decay")


def plot_verdicts(
    data: xr.Dataset,
    *,
    title: str = "Hypothesis 2.2: accuracy with some frequencies taken out of the embedding",
) -> go.Figure:
    """Accuracy with the embedding filtered, one row per run; a line spans the random draws."""
    data = _sorted(data)
    judged, rows = _judged(data, data.accuracy), np.arange(data.sizes["run"])
    random = _judged(data, data.random_accuracy)
    ring: dict[str, Any] = {"symbol": "circle-open", "size": 11, "line": {"width": 2.5}}
    conditions: dict[str, tuple[str, dict[str, Any]]] = {
        "full": ("whole embedding", ring | {"color": INK}),
        "only_key": ("only key frequencies", _marker("circle", 10, PLAIN)),
        "without_random": ("without random others", _marker("diamond", 9, GUIDE)),
        "without_key": ("without key frequencies", _marker("x", 9, SERIES[1].color)),
    }
    figure = go.Figure()
    for place, (condition, (label, marker)) in enumerate(conditions.items()):
        x = judged.sel(condition=condition).values
        error = None
        if condition == "without_random":
            above, below = random.max("draw").values - x, x - random.min("draw").values
            error = {"array": above, "arrayminus": below, "color": GUIDE, "thickness": 2}
        figure.add_scatter(
            x=x,
            y=rows + 0.18 * (place - 1.5),
            error_x=error,
            name=label,
            mode="markers",
            marker=marker,
            cliponaxis=False,
            hovertemplate=f"{label}: %{{x:.3f}}<extra></extra>",
        )
    figure.add_scatter(
        x=1 / data.p.values,
        y=rows,
        name="chance",
        mode="markers",
        marker={"symbol": "line-ns", "size": 30, "line": {"width": 1.5, "color": INK}},
        hoverinfo="skip",
    )
    beside: dict[str, Any] = {"x": 1.02, "xref": "paper", "xanchor": "left", "align": "left"}
    for row, verdict in enumerate(data.verdict.values.tolist()):
        passed = data.passed.values[row]
        why = {
            "supported": "",
            "not supported": f"fails {(passed == 0).sum()} of {len(passed)}",
            "not applicable": f"accuracy {float(judged.sel(condition='full')[row]):.3f}",
        }
        notes = [why[verdict], "borderline" if data.borderline.values[row] else ""]
        figure.add_annotation(
            y=row,
            text=f"<b>{wrapped(verdict, 12)}</b><br><sub>{', '.join(filter(None, notes))}</sub>",
            hovertext=data.reason.values[row],
            font={"color": VERDICT_COLOR[verdict]},
            showarrow=False,
            **beside,
        )
    labels = _labels(data)
    names = [
        f"{wrapped(kind, 24)}<br><span style='font-size:10px'>{wrapped(details, 30)}</span>"
        for kind, details in labels
    ]
    plain = {"zeroline": False, "showgrid": False}
    figure.update_yaxes(tickvals=rows, ticktext=names, range=[len(rows) - 0.5, -0.5], **plain)
    for edge in rows[1:]:
        figure.add_hline(float(edge) - 0.5, line_width=1, line_color=FAINT)
    where = " or ".join(sorted(set(data.judged_on.values.tolist()), reverse=True))
    figure.update_xaxes(title=f"accuracy on {where} pairs", range=[-0.03, 1.03], zeroline=False)
    figure = finish(figure, title=title, height=220 + 56 * len(rows))
    return figure.update_layout(margin_r=110)


def _marker(symbol: str, size: int, colour: str) -> dict[str, Any]:
    return {"symbol": symbol, "size": size, "color": colour}


def plot_spectra(
    data: xr.Dataset, *, title: str = "Frequencies of the embedding and of the logits"
) -> go.Figure:
    """Variance share of every frequency in embedding and logits; dotted: an even share."""
    data, count = _sorted(data), data.sizes["run"]
    titles = [
        text
        for (kind, details), verdict in zip(_labels(data), data.verdict.values, strict=True)
        for text in (f"<b>{kind}</b>  {details}  <i>{verdict}</i>", "")
    ]
    figure, inner = stacked_panels(
        count, height=100, gap=80, cols=2, horizontal_spacing=0.19, subplot_titles=titles
    )
    colors = {
        "key frequency": PLAIN,
        "key frequency of some neurons": SERIES[3].color,
        "other": FAINT,
    }
    for row in range(count):
        run = data.isel(run=row).dropna("frequency", subset=["is_key"])
        for column, (shares, part) in enumerate(
            (("embedding_share", "kept_share"), ("logit_share", "is_key")), 1
        ):
            is_key = run[part].values
            kinds = np.select([is_key == 1, is_key > 0], list(colors)[:2], "other")
            figure.add_bar(
                x=run.frequency,
                y=run[shares],
                marker_color=[colors[kind] for kind in kinds],
                showlegend=False,
                hovertemplate="frequency %{x}: %{y:.4f}<extra></extra>",
                row=row + 1,
                col=column,
            )
            highest = max(float(run[shares].max()), 1 / run.sizes["frequency"])
            figure.update_yaxes(range=[0, 1.1 * highest], row=row + 1, col=column)
        even = [1 / run.sizes["frequency"]] * 2
        figure.add_scatter(
            x=[0.5, run.sizes["frequency"] + 0.5],
            y=even,
            mode="lines",
            name="even share",
            line={"dash": "dot", "width": 1.5, "color": INK},
            showlegend=row == 0,
            hoverinfo="skip",
            row=row + 1,
            col=1,
        )
    for kind, color in colors.items():
        figure.add_bar(x=[None], y=[None], marker_color=color, name=kind)
    figure.update_annotations(x=0, xanchor="left")
    figure.update_yaxes(nticks=4)
    figure.update_xaxes(tickfont_size=11)
    figure.update_xaxes(title="frequency (cycles per period)", row=count)
    figure.update_yaxes(title="share of<br>embedding", title_font_size=12, col=1)
    figure.update_yaxes(title="share of logits", title_font_size=12, col=2)
    return finish(figure, title=title, height=200 + inner, bargap=0.15)


def table(data: xr.Dataset) -> list[dict[str, Any]]:
    """One row per run, and for several seeds of one setting also mean, smallest and largest.

    A row has the setting; ``seed``, a number or "mean", "least" or "largest"; the numbers and their
    controls, for neurons those of the most periodic layer; ``verdict``; ``reason``; and
    ``borderline``, 0 or 1 for a run, and the number of borderline seeds in a summary. Runs have the
    same setting if their configs differ only in seeds.
    """
    data = _sorted(data)
    numbers = {name: _number(data, *place) for name, place in _NUMBERS.items()}
    settings = [{name: data[name].values[i].item() for name in _SETTING} for i in data.run.values]
    rows: list[dict[str, Any]] = []
    identity = [data[name].values for name in ("setting", "architecture", "operation", "p")]
    identities = list(zip(*identity, strict=True))
    for setting in dict.fromkeys(identities):
        same = [i for i in data.run.values if identities[i] == setting]
        for i in same:
            row = settings[i] | {"seed": data.seed.values[i].item()}
            row |= {name: float(values[i]) for name, values in numbers.items()}
            row |= {name: str(data[name].values[i]) for name in ("verdict", "reason")}
            rows.append(row | {"borderline": int(data.borderline[i])})
        if len(same) > 1:
            verdicts, counts = np.unique(data.verdict.values[same], return_counts=True)
            tally = ", ".join(f"{c} {v}" for v, c in zip(verdicts, counts, strict=True))
            for name, summary in {"mean": np.mean, "least": np.min, "largest": np.max}.items():
                row = settings[same[0]] | {"seed": name}
                row |= {column: float(summary(values[same])) for column, values in numbers.items()}
                row |= {"verdict": tally, "reason": ""}
                rows.append(row | {"borderline": int(data.borderline[same].sum())})
    return rows


def plot_table(
    rows: Sequence[dict[str, Any]], *, title: str = "Hypothesis 2.2, network by network"
) -> go.Figure:
    """The rows of :func:`table`; in brackets, the same number with the residues shuffled."""

    def cell(row: dict[str, Any], name: str) -> str:
        control = row.get(f"{name}, shuffled", np.nan)
        return _text(row[name]) + ("" if np.isnan(control) else f" ({_text(control)})")

    headings = {
        "accuracy": "accuracy",
        "row-wise IPR": "row-wise<br>IPR",
        "total IPR": "total<br>IPR",
        "feature IPR": "feature<br>IPR",
        "logits explained": "logits<br>expl.",
        "neurons": "neurons",
        "only key": "only<br>key",
        "without key": "without<br>key",
        "without random": "without<br>random",
    }
    columns = {
        "network": [row["architecture"] for row in rows],
        "ξ": [_text(row["corruption"]) for row in rows],
        "seed": [str(row["seed"]).removesuffix(".0").replace("nan", "") for row in rows],
        **{heading: [cell(row, name) for row in rows] for name, heading in headings.items()},
        "verdict": [verdict_text(row) for row in rows],
    }
    ink = [VERDICT_COLOR.get(row["verdict"], INK) for row in rows]
    font = {"size": 11, "color": [*[INK] * (len(columns) - 1), ink]}
    cells = {"values": list(columns.values()), "align": "left", "height": 26, "font": font}
    header = {"values": list(columns), "align": "left", "font": {"size": 11}}
    widths = [2.5, 0.6, 0.75, 0.95, *[1.2] * 3, 0.75, 1.2, 0.75, 0.85, 0.9, 1.5]
    figure = go.Figure(go.Table(columnwidth=widths, header=header, cells=cells))
    figure = finish(figure, title=title, height=150 + 44 * len(rows))
    # Thirteen columns are not legible in less; a page that is narrower scrolls.
    return figure.update_layout(margin={"l": 10, "r": 10, "b": 10}, width=900)


def verdict_text(row: dict[str, Any]) -> str:
    """The verdict of a row of the table; for a borderline one, or a summary, with that note."""
    count = row["borderline"]
    if isinstance(row["seed"], float):
        return row["verdict"] + (", borderline" if count else "")
    return row["verdict"] + (f" ({count} borderline)" if count else "")


def verdict_line(row: dict[str, Any]) -> str:
    """A row of the table as a line for the terminal."""
    seed = f"{row['seed']:g}" if isinstance(row["seed"], float) else row["seed"]
    return (
        f"{row['architecture']:24} {row['operation']:14} corruption {row['corruption']:.1f} "
        f"seed {seed:8} accuracy {row['accuracy']:.3f}  {verdict_text(row)}"
        + (f": {row['reason']}" if row["reason"] else "")
    )


def _sorted(data: xr.Dataset) -> xr.Dataset:
    """The runs by verdict (supported first), architecture, corruption and seed; renumbered."""
    verdict = [list(VERDICT_COLOR).index(name) for name in data.verdict.values]
    corruption, seed = np.nan_to_num(data.corruption), np.nan_to_num(data.seed)
    keys = list(zip(verdict, data.architecture.values, corruption, seed, strict=True))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return data.isel(run=order).assign_coords(run=np.arange(len(order)))


def _judged(data: xr.Dataset, accuracy: xr.DataArray) -> xr.DataArray:
    """Each run's accuracy on the subset that decides whether it generalises."""
    return accuracy.sel(subset=data.judged_on)


def _number(data: xr.Dataset, name: str, place: dict[str, str]) -> "np.ndarray":
    """One column of the table: a number per run."""
    if name == "judged":
        return _judged(data, data.accuracy).sel(place).values
    if name == "neuron_share":
        if not data.sizes["layer"]:
            return np.full(data.sizes["run"], np.nan)
        best = data.neuron_share.sel(of="network", drop=True).fillna(-1.0).argmax("layer")
        return data.neuron_share.isel(layer=best).sel(place).values
    return data[name].sel(place).values


def _labels(data: xr.Dataset) -> list[tuple[str, str]]:
    """Each run's architecture, and the settings in which the runs differ."""
    words = {
        "operation": "",
        "p": "p ",
        "train_fraction": "α ",  # noqa: RUF001
        "corruption": "ξ ",
        "weight_decay": "decay ",
        "steps": "steps ",
        "seed": "seed ",
        "data_seed": "data ",
    }
    details: list[list[str]] = [[] for _ in range(data.sizes["run"])]
    for name, word in words.items():
        values = data[name].values.tolist()
        known = [isinstance(value, str) or not np.isnan(value) for value in values]
        if len({value for value, there in zip(values, known, strict=True) if there}) > 1:
            for detail, value, there in zip(details, values, known, strict=True):
                if there:
                    detail.append(word + (value if isinstance(value, str) else f"{value:g}"))
    kinds = data.architecture.values.tolist()
    return [(kind, ", ".join(detail)) for kind, detail in zip(kinds, details, strict=True)]


def _text(value: float) -> str:
    """Two decimals; "" for NaN."""
    return "" if np.isnan(value) else f"{value:.2f}"
