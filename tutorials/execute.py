"""Execute the tutorials, or check that what is committed of them is what their code makes.

    python -m tutorials.execute [NOTEBOOK ...]            run them and write their outputs
    python -m tutorials.execute --check [NOTEBOOK ...]    run them and compare; nothing is written

In a notebook that is written every figure is there twice: as its data, from which Jupyter draws it
(unless they are large), and as an image, which code hosts show. Progress bars and warnings are left
out. Writing needs the extras ``figures`` and ``images`` and Chrome or Chromium, checking does not.
"""

import argparse
import base64
import io
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat

from tutorials.committed import (
    ALL_BYTES,
    FIGURE,
    FIGURE_BYTES,
    FOLDER,
    IMAGE,
    NOTEBOOK_BYTES,
    description,
    differences,
    fingerprint,
    paths,
    problems,
    size,
)

TIMEOUT = 1800  # seconds, of one cell
COLOURS = 256  # of an image
AT_ONCE = 2  # notebooks that are checked side by side; much of each runs on one core
LONG = 3  # seconds; cells that take longer are named
ENVIRONMENT = {"PLOTLY_RENDERER": "plotly_mimetype"}  # figures as data


def execute(notebook: Any, name: str = "") -> Any:
    """Run a copy of a notebook in a new kernel; its outputs without bars, warnings and widgets.

    ``name`` is printed beside the times of cells that take long.
    """
    from nbclient import NotebookClient

    fresh: Any = nbformat.from_dict(notebook)
    started: dict[int, float] = {}

    def start(cell: Any, cell_index: int) -> None:
        started[cell_index] = time.monotonic()

    def executed(cell: Any, cell_index: int, execute_reply: Any) -> None:
        seconds = time.monotonic() - started[cell_index]
        if seconds > LONG:
            print(f"{name} cell {cell_index}: {seconds:.0f} s", flush=True)

    NotebookClient(
        fresh,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(FOLDER)}},
        on_cell_start=start,
        on_cell_executed=executed,
    ).execute(env=os.environ | ENVIRONMENT)
    clean(fresh)
    return fresh


def clean(notebook: Any) -> None:
    """Leave out what is not committed of a notebook's outputs, and join what was printed."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        kept: list[Any] = []
        for output in filter(None, map(_kept, cell.outputs)):
            if kept and kept[-1].output_type == output.output_type == "stream":
                kept[-1].text += output.text  # a kernel parts it by the clock
            else:
                kept.append(output)
        cell.outputs = kept


def _kept(output: Any) -> Any:
    """An output as it is committed, or None."""
    if output.get("name") == "stderr":
        return None
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:
        return None
    if "xr-wrap" in data.get("text/html", ""):  # needs a style sheet, which code hosts remove
        del data["text/html"]
    if FIGURE in data:
        data["text/plain"] = description(data[FIGURE])
    return output


def draw(notebook: Any) -> None:
    """Put an image beside every figure, and leave out the data of figures that are too large."""
    import plotly.io

    bundles = [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if FIGURE in output.get("data", {})
    ]
    if not bundles:
        return
    with tempfile.TemporaryDirectory() as folder:
        files: Any = [Path(folder) / f"{number}.png" for number in range(len(bundles))]
        figures = [bundle[FIGURE] for bundle in bundles]
        widths, heights = map(list, zip(*map(size, figures), strict=True))
        plain = [{"data": figure["data"], "layout": figure["layout"]} for figure in figures]
        plotly.io.write_images(plain, files, "png", scale=1, width=widths, height=heights)
        for bundle, file in zip(bundles, files, strict=True):
            bundle[IMAGE] = base64.b64encode(_smaller(file)).decode()
            if len(json.dumps(bundle[FIGURE])) > FIGURE_BYTES:
                del bundle[FIGURE]


def _smaller(file: Path) -> bytes:
    """A PNG with a palette of COLOURS, a quarter of the size."""
    from PIL import Image

    smaller = io.BytesIO()
    palette = Image.open(file).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    palette.save(smaller, "PNG", optimize=True)
    return smaller.getvalue()


def write(notebook: Any, path: Path) -> None:
    """Write an executed notebook with images of its figures."""
    draw(notebook)
    notebook.metadata["language_info"] = {"name": "python"}  # without the version
    notebook.metadata.pop("widgets", None)
    notebook.metadata["executed"] = fingerprint(notebook)
    nbformat.write(notebook, path)


def check(path: Path) -> list[str]:
    """Everything that is wrong with a committed notebook."""
    committed = nbformat.read(path, 4)
    return problems(committed) + differences(committed, execute(committed, path.name))


def renew(path: Path) -> list[str]:
    """Execute a notebook and write it; what is wrong with it then."""
    write(execute(nbformat.read(path, 4), path.name), path)
    return problems(nbformat.read(path, 4))


def main(arguments: list[str]) -> int:
    """The command; the number of notebooks that are not as they should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("notebooks", nargs="*", type=Path, default=paths())
    options = parser.parse_args(arguments)
    wrong = 0
    with ThreadPoolExecutor(AT_ONCE if options.check else 1) as pool:
        results = pool.map(check if options.check else renew, options.notebooks)
        for path, found in zip(options.notebooks, results, strict=True):
            if path.stat().st_size > NOTEBOOK_BYTES:
                found.append(f"{path.stat().st_size} bytes")
            print(path.name, *found or ["as it should be"], sep="\n  ", flush=True)
            wrong += bool(found)
    total = sum(path.stat().st_size for path in paths())
    print(f"{total / 1e6:.1f} MB in all")
    return wrong + (total > ALL_BYTES)


_Raw = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
