"""Figures as files for a paper: a fixed width, and text and lines of the size that print needs."""

import importlib.util
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokinterp.checks import check_number, check_type
from grokinterp.files import replacing
from grokinterp.short_text import short

if TYPE_CHECKING:
    import plotly.graph_objects as go

WIDTHS = {"column": 82.55, "page": 139.7}  # mm
FORMATS = ("pdf", "svg", "png")
TEXT = 8.0  # points, of all text
DPI = 300  # of PNG
_PIXELS = 96 / 25.4  # per mm, as browsers have it
_SIZE = TEXT * 96 / 72  # pixels
_SMALLER = 0.8  # heights and margins, as text is smaller than on a screen
_THINNER = 2 / 3  # lines and markers
_LINE, _MARKER = 2.0, 6.0  # plotly's own width of a line and size of a marker, in pixels


def save_figure(
    figure: "go.Figure", path: str | os.PathLike[str], *, width: str | float = "column"
) -> None:
    """Write a figure as a paper prints it: all text 8 points high, lines and markers thinner.

    Text stays text in PDF and SVG. The height follows from the figure's own. The given figure is
    not changed.

    Args:
        figure: a plotly figure, such as of a ``plot_*`` function.
        path: the file; its suffix .pdf, .svg or .png (300 pixels per inch) is the format. An
            existing file is replaced.
        width: "column", 82.55 mm (3.25 inches, a column of ICML); "page", 139.7 mm (5.5 inches,
            the text of ICLR and NeurIPS); or a number of mm.

    Raises:
        ValueError: an unknown suffix or width.
        FileNotFoundError: the folder of ``path`` does not exist.
        ImportError: kaleido is not installed.
        RuntimeError: kaleido finds no browser, or cannot start it.

    Examples:
        >>> import grokinterp as gi
        >>> import plotly.graph_objects as go
        >>> figure = go.Figure(go.Scatter(x=[0, 1, 2], y=[0, 1, 4]))
        >>> gi.save_figure(figure, "curve.svg", width="page")
        >>> with open("curve.svg") as file:
        ...     print(file.read(4))
        <svg
    """
    import plotly.graph_objects as go

    check_type("figure", figure, go.Figure)
    target, mm = Path(path).expanduser(), _millimetres(width)
    suffix = target.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise ValueError(f"path must end in .pdf, .svg or .png, got {short(str(path))}")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"path={short(str(path))}: the folder {target.parent} does not exist; make it first"
        )
    if importlib.util.find_spec("kaleido") is None:
        raise ImportError(
            "save_figure needs kaleido, which is not installed; "
            'run pip install "grokinterp[figures]"'
        )
    content = _drawn(for_print(figure), suffix, round(mm * _PIXELS))
    with replacing(target) as file:
        file.write_bytes(content)


def for_print(figure: "go.Figure") -> "go.Figure":
    """A copy of the figure with text, lines and heights for print; its width is left open."""
    import plotly.graph_objects as go

    copy = go.Figure(figure)
    height = copy.layout.height or 450  # pyright: ignore[reportAttributeAccessIssue]
    copy.update_layout(font_size=_SIZE, title_font_size=_SIZE, legend_font_size=_SIZE, width=None)
    for update in (copy.update_xaxes, copy.update_yaxes):
        update(title_font_size=_SIZE, tickfont_size=_SIZE)
    copy.update_annotations(font_size=_SIZE)
    _set_defaults(copy)
    smaller = _resized(copy.to_dict())
    smaller["layout"]["height"] = height * _SMALLER
    return go.Figure(smaller, skip_invalid=False)


def _set_defaults(figure: "go.Figure") -> None:
    """Write plotly's own sizes where a trace names none, so that they are changed with the rest."""
    traces: Any = figure.data
    for trace in traces:
        if trace.type == "scatter":
            mode = trace.mode or "lines+markers"
            if "lines" in mode and trace.line.width is None:
                trace.line.width = _LINE
            if "markers" in mode and trace.marker.size is None:
                trace.marker.size = _MARKER


def _resized(node: Any, key: str = "", inside: str = "") -> Any:
    """The figure's dictionary with every size in it for print; ``inside`` is the key above."""
    if isinstance(node, dict):
        return {name: _resized(value, name, key) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [_resized(value, key, inside) for value in node]
    if isinstance(node, str):
        return _INLINE.sub(f"font-size:{_SIZE:.2f}px", node)
    if key == "size" and inside.endswith("font"):
        return _SIZE
    if node is not None and inside in _THIN.get(key, ()):
        return node * _THINNER
    if node is not None and inside == "margin" and key in "ltrb":
        return node * _SMALLER
    return node


_INLINE = re.compile(r"font-size: ?\d+px")
_BARS = ("error_x", "error_y")
_THIN = {"size": ("marker",), "width": ("line", *_BARS), "thickness": _BARS}  # and what holds them


def _drawn(figure: "go.Figure", suffix: str, width: int) -> bytes:
    scale = DPI / 96 if suffix == "png" else 1
    try:
        return figure.to_image(format=suffix, width=width, scale=scale)
    except Exception as error:
        if "chrome" in f"{type(error).__name__} {error}".lower() or "Browser" in str(type(error)):
            raise RuntimeError(
                "save_figure draws with Chrome or Chromium, which kaleido did not find or could "
                "not start; install one (apt install chromium), or run plotly_get_chrome"
            ) from error
        raise


def _millimetres(width: str | float) -> float:
    if isinstance(width, str):
        if width not in WIDTHS:
            raise ValueError(
                f"width must be 'column', 'page' or a number of mm, got {short(width)}"
            )
        return WIDTHS[width]
    check_number("width", width, minimum=20.0)
    return float(width)
