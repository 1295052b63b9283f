"""What the axes of a figure need at any width: headings, titles, ticks, and a word if empty."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from analyses.pages.palette import GUIDE
from analyses.pages.wrapping import count_lines, wrapped

HEADING, HEADING_LINE = 12, 16  # size and height of a line, in pixels
_LETTERS = 42  # of text of that size, side by side in the panels of a figure of 400 pixels


def arrange(figure: go.Figure) -> int:
    """Break headings and titles, tick logarithmic axes and mark empty panels.

    Returns:
        How many lines the headings of the uppermost panels have.
    """
    _share_titles(figure)
    tick_logarithms(figure)
    lines = _break_headings(figure)
    _mark_empty(figure)
    return lines


def widen_gaps(figure: go.Figure, height: int) -> int:
    """Give headings of several lines room below the panels above them.

    A gap between two rows of panels is made for a heading of one line; each further line adds one.

    Args:
        figure: with broken headings, see :func:`arrange`.
        height: of all rows and the gaps between them, in pixels.

    Returns:
        By how many pixels they are higher.
    """
    axes = [axis for _, axis in _named(figure, "y") if axis.domain is not None]
    bottoms = sorted({axis.domain[0] for axis in axes})
    added = dict.fromkeys(bottoms, 0)
    for note in _headings(figure):
        above = [bottom for bottom in bottoms if bottom > note.y + 1e-6]
        if above:
            further = HEADING_LINE * (count_lines(note.text) - 1)
            added[above[0]] = max(added[above[0]], further)
    total = sum(added.values())

    def moved(y: float) -> float:
        below = sum(pixels for bottom, pixels in added.items() if bottom <= y + 1e-6)
        return (y * height + below) / (height + total)

    if total:
        for axis in axes:
            axis.domain = [
                moved(axis.domain[0]),
                moved(axis.domain[0]) + _share(axis, height, total),
            ]
        for note in figure.layout.annotations:  # pyright: ignore[reportAttributeAccessIssue]
            if note.yref == "paper":
                note.y = moved(note.y)
    return total


def _share(axis: Any, height: int, added: int) -> float:
    """A panel's share of the height after ``added`` pixels."""
    return (axis.domain[1] - axis.domain[0]) * height / (height + added)


def log_ticks(low: float, high: float, most: int = 7) -> tuple[list[float], list[str]]:
    """Places and labels of a logarithmic axis from ``low`` to ``high``, more than one if possible.

    The densest that has at most ``most``: tenths, some or all whole digits, 1, 2 and 5, 1 and 3,
    and powers of ten, all or every so many.
    """
    if high <= low * 1.05:
        low, high = low / 2, high * 2
    first, last = math.floor(math.log10(low)), math.floor(math.log10(high)) + 1
    tries = [
        [digit * 10.0**power for power in range(first, last) for digit in digits]
        for digits in _DIGITS
    ]
    tries += [[10.0**power for power in range(first, last) if not power % n] for n in range(1, 99)]
    inside = [[tick for tick in ticks if low * 0.999 <= tick <= high * 1.001] for ticks in tries]
    thinned = inside[0][:: math.ceil(len(inside[0]) / most) or 1]
    shown = next((ticks for ticks in inside if 2 <= len(ticks) <= most), thinned)
    return shown, [_number(tick) for tick in shown]


_DIGITS = (
    [1 + n / 10 for n in range(90)],
    [1 + n / 2 for n in range(18)],
    [1, 1.5, *range(2, 10)],
    [1, 2, 3, 5, 7],
    [1, 2, 5],
    [1, 3],
)


def _number(value: float) -> str:
    if 1e-3 < value < 1e5:
        return f"{value:.10g}"
    power = math.floor(math.log10(value) + 1e-9)
    digit = round(value / 10.0**power, 6)
    return f"10<sup>{power}</sup>" if digit == 1 else f"{digit:g}·10<sup>{power}</sup>"


def _named(figure: go.Figure, letter: str) -> Iterator[tuple[str, Any]]:
    """The axes of a figure by the names that traces use: "x", "x2" and so on."""
    layout: Any = figure.layout
    for key in layout:
        if key.startswith(f"{letter}axis"):
            yield letter + key.removeprefix(f"{letter}axis"), layout[key]


def _on(figure: go.Figure, letter: str) -> dict[str, list[Any]]:
    """The traces of each axis."""
    traces: dict[str, list[Any]] = defaultdict(list)
    every: Any = figure.data
    for trace in every:
        if f"{letter}axis" in trace:
            traces[trace[f"{letter}axis"] or letter].append(trace)
    return traces


def _rows(figure: go.Figure) -> list[list[Any]]:
    """The horizontal axes of each row of panels, from left to right."""
    vertical = dict(_named(figure, "y"))
    rows: dict[Any, list[Any]] = defaultdict(list)
    for _, axis in _named(figure, "x"):
        if axis.domain is not None and axis.anchor in vertical:
            rows[vertical[axis.anchor].domain].append(axis)
    return [sorted(row, key=lambda axis: axis.domain) for row in rows.values()]


def _share_titles(figure: go.Figure) -> None:
    for row in _rows(figure):
        for axis in row:
            if len(row) > 1 and axis.type != "log" and axis.tickvals is axis.dtick is None:
                axis.nticks = 6 - len(row)
        titles = [axis.title.text or "" for axis in row]
        same = len(row) > 2 and len(set(titles)) == 1
        for number, (axis, title) in enumerate(zip(row, titles, strict=True)):
            if same:
                axis.title.text = title if number == (len(row) - 1) // 2 else None
            elif title:
                axis.title.text = wrapped(title, _LETTERS // len(row))


def _headings(figure: go.Figure) -> list[Any]:
    return [
        note
        for note in figure.layout.annotations  # pyright: ignore[reportAttributeAccessIssue]
        if (note.xref, note.yref, note.yanchor) == ("paper", "paper", "bottom") and note.text
    ]


def _break_headings(figure: go.Figure) -> int:
    headings = _headings(figure)
    side_by_side = max((len(row) for row in _rows(figure)), default=1)
    for note in headings:
        note.font.size = HEADING
        across = 1 if note.xanchor == "left" else side_by_side
        note.text = wrapped(note.text, _LETTERS // across)
    top = max((note.y for note in headings), default=0.0)
    return max((count_lines(note.text) for note in headings if note.y > top - 1e-6), default=0)


def tick_logarithms(figure: go.Figure) -> None:
    """Label the logarithmic axes that have no ticks of their own."""
    side_by_side = max((len(row) for row in _rows(figure)), default=1)
    for letter in "xy":
        most = 7 if letter == "y" or side_by_side == 1 else max(3, 8 // side_by_side)
        axes, traces = dict(_named(figure, letter)), _on(figure, letter)
        groups: dict[str, list[str]] = defaultdict(list)
        for name, axis in axes.items():
            groups[axis.matches or name].append(name)
        for names in groups.values():
            some = [axes[name] for name in names]
            if not any(axis.type == "log" for axis in some):
                continue
            if any(axis.tickvals is not None for axis in some):
                continue
            ends = next((axis.range for axis in some if axis.range is not None), None)
            numbers = [n for name in names for n in _positive(traces[name], letter)]
            if ends is not None:
                numbers = [10.0 ** float(end) for end in ends]
            if numbers:
                ticks, labels = log_ticks(min(numbers), max(numbers), most)
                for axis in some:
                    axis.update(tickmode="array", tickvals=ticks, ticktext=labels)


def _positive(traces: Sequence[Any], letter: str) -> Iterator[float]:
    for trace in traces:
        ends = [_finite(trace[letter])]
        name = f"error_{letter}"
        if name in trace and trace[name].array is not None:
            bar = trace[name]
            middle = np.asarray(trace[letter], dtype=float)
            above, below = np.asarray(bar.array), bar.arrayminus
            ends += [middle + above, middle - (above if below is None else np.asarray(below))]
        values = np.concatenate(ends)
        yield from values[values > 0].tolist()


def _finite(values: Any) -> np.ndarray:
    """The finite numbers; of texts, a one for each."""
    if values is None:
        return np.empty(0)
    array = np.asarray(values)
    if array.dtype.kind in "OUS":
        known = [value for value in array.ravel().tolist() if value is not None]
        try:
            array = np.array(known, dtype=float)
        except (TypeError, ValueError):
            return np.ones(len(known))
    array = array.astype(float).ravel()
    return array[np.isfinite(array)]


def _mark_empty(figure: go.Figure) -> None:
    traces = _on(figure, "x")
    vertical = dict(_named(figure, "y"))
    told = {note.yref for note in figure.layout.annotations}  # pyright: ignore[reportAttributeAccessIssue]
    for name, axis in _named(figure, "x"):
        here = traces[name]
        known = any(
            all(_finite(trace[part]).size for part in ("x", "y", "z") if _holds(trace, part))
            for trace in here
        )
        if axis.domain is None or axis.anchor not in vertical or axis.anchor in told:
            continue  # no panel, or one that says why
        if not known:
            # In units of the paper: plotly does not draw an axis that no trace uses.
            x, y = (sum(ends) / 2 for ends in (axis.domain, vertical[axis.anchor].domain))
            note = {"text": "no data", "font": {"color": GUIDE}, "showarrow": False}
            figure.add_annotation(x=x, y=y, xref="paper", yref="paper", yanchor="middle", **note)


def _holds(trace: Any, part: str) -> bool:
    """Whether a trace is made of these numbers; a curve may lack x, and a histogram y."""
    return part in trace and (trace[part] is not None or (part == "y" and trace.type == "scatter"))
