"""Committed tutorials: executed by their own code, with images, bounded, the same everywhere."""

import ast
import base64
import io
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tutorials import committed, execute

PATHS = committed.paths()


def read(path: Path) -> Any:
    return nbformat.read(path, 4)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_tutorial_is_executed_and_bounded(path: Path) -> None:
    assert committed.problems(read(path)) == []
    assert path.stat().st_size <= committed.NOTEBOOK_BYTES


def test_all_tutorials_are_bounded() -> None:
    assert len(PATHS) >= 8
    assert sum(path.stat().st_size for path in PATHS) <= committed.ALL_BYTES


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_cell_that_ends_in_a_figure_has_an_image(path: Path) -> None:
    drawn = [cell for cell in read(path).cells if cell.cell_type == "code" and draws(cell.source)]
    assert drawn
    for cell in drawn:
        assert any(committed.IMAGE in output.get("data", {}) for output in cell.outputs)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_line_of_a_paragraph_begins_a_list(path: Path) -> None:
    """Such as "in a circle of p -", then "1. Next": Markdown takes that for an item."""
    texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    paragraphs = [lines for text in texts for lines in re.split(r"\n\s*\n|^#.*$", text, flags=re.M)]
    item = r"\s*(?:[-+*]|\d+[.)]) "
    assert [
        paragraph
        for paragraph in paragraphs
        if not re.match(item, paragraph.lstrip("\n")) and re.search(rf"\n{item}", paragraph.strip())
    ] == []


def draws(source: str) -> bool:
    """Whether the last statement is a call of finish(...), plot(...) or *.plot_*(...)."""
    body = ast.parse(source).body
    last = body[-1].value if body and isinstance(body[-1], ast.Expr) else None
    while isinstance(last, ast.Call) and isinstance(last.func, ast.Attribute):
        if last.func.attr.startswith("plot_"):
            return True
        last = last.func.value
    if isinstance(last, ast.Call) and isinstance(last.func, ast.Name):
        return last.func.id.startswith(("plot_", "finish"))
    return False


FIGURE = {
    "data": [{"type": "scatter", "name": "test", "y": [1, 2]}],
    "layout": {
        "title": {"text": "Two<br>points"},
        "height": 300,
        "yaxis": {"title": {"text": "y"}},
    },
}


def png(width: int, height: int, *, blank: bool = False) -> str:
    """An image of noise, or of one colour."""
    pixels = bytes(3 * width * height) if blank else os.urandom(3 * width * height)
    file = io.BytesIO()
    Image.frombytes("RGB", (width, height), pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


IMAGE, BLANK = png(760, 300), png(760, 300, blank=True)


def made(text: str = "test accuracy 0.98 after 400 steps\n") -> Any:
    """An executed notebook with a text and a figure."""
    data = {committed.FIGURE: FIGURE, committed.IMAGE: IMAGE}
    cell = new_code_cell(
        "print(accuracy)\nplot_it()",
        outputs=[
            new_output("stream", name="stdout", text=text),
            new_output("display_data", data | {"text/plain": committed.description(FIGURE)}),
        ],
    )
    notebook = new_notebook(cells=[new_markdown_cell("# A title"), cell])
    notebook.metadata["executed"] = committed.fingerprint(notebook)
    return notebook


def set_image(image: str) -> Callable[[Any], None]:
    return lambda notebook: notebook.cells[1].outputs[1].data.update({committed.IMAGE: image})


def set_text(text: str) -> Callable[[Any], None]:
    return lambda notebook: notebook.cells[1].outputs[0].update(text=text)


def remove(*kinds: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        for kind in kinds:
            del notebook.cells[1].outputs[1].data[kind]

    return change


PROBLEMS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "changed source": (lambda notebook: notebook.cells[1].update(source="1"), "code has changed"),
    "no image": (remove(committed.IMAGE), "no image"),
    "no image and no data": (remove(committed.IMAGE, committed.FIGURE), "no image"),
    "blank": (set_image(BLANK), "shows nothing"),
    "another size": (set_image(png(700, 300)), "another size"),
    "path": (set_text("saved to /home/someone/run"), "path of one machine: /home/"),
    "path of this folder": (set_text(f"{committed.FOLDER.parent}/run"), "path of one machine: /"),
    "timing": (set_text("trained in 12.3 s"), "speed"),
    "failed": (
        lambda notebook: notebook.cells[1].outputs.append(
            new_output("error", ename="ValueError", evalue="", traceback=["ValueError"])
        ),
        "failed",
    ),
}


@pytest.mark.parametrize(("change", "told"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_problem_is_told(change: Callable[[Any], None], told: str) -> None:
    notebook = made()
    assert committed.problems(notebook) == []
    change(notebook)
    (found,) = committed.problems(notebook)
    assert told in found


def test_text_may_change_and_large_figures_may_be_images_alone() -> None:
    notebook = made()
    notebook.cells[0].source = "# Another title"
    del notebook.cells[1].outputs[1].data[committed.FIGURE]
    assert committed.problems(notebook) == []
    assert committed.differences(notebook, made()) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("test accuracy 0.97 after 420 steps\n", None),
        ("test accuracy 0.2 after 4000 steps\n", "only 0 of 2 numbers agree"),
        ("train accuracy 0.98 after 400 steps\n", "other words: test, train"),
    ],
)
def test_what_code_makes_now_is_compared(text: str, told: str | None) -> None:
    found = committed.differences(made(), made(text))
    assert found == ([] if told is None else found[:1])
    assert told is None or told in found[0]


def test_other_outputs_are_told() -> None:
    fresh = made()
    del fresh.cells[1].outputs[1]
    (found,) = committed.differences(made(), fresh)
    assert "other kinds of outputs" in found
    renamed = made()
    renamed.cells[1].outputs[1].data[committed.FIGURE] = FIGURE | {"layout": {}}
    (found,) = committed.differences(made(), renamed)
    assert "other words: axes, no, points, title, two" in found


def test_a_cell_that_varies_needs_only_the_same_kinds_of_outputs() -> None:
    notebook = made()
    notebook.cells[1].metadata["tags"] = [committed.VARIES]
    assert committed.differences(notebook, made("something else")) == []


def test_a_figure_is_described_in_words() -> None:
    assert committed.description(FIGURE) == "Figure: Two points. axes: y. traces: test"
    assert committed.size(FIGURE) == (760, 300)


@pytest.mark.slow
def test_a_notebook_is_run_and_its_bars_and_warnings_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nbclient", reason="pip install -e '.[tutorials]'")
    source = (
        "import sys\nimport plotly.graph_objects as go\nprint('bar', file=sys.stderr)\n"
        "print('said')\ngo.Figure(go.Scatter(y=[1, 2], name='line'))"
    )
    notebook = new_notebook(cells=[new_code_cell(source)])
    fresh = execute.execute(notebook)
    said, figure = fresh.cells[0].outputs
    assert (said.name, said.text) == ("stdout", "said\n")
    assert figure.data["text/plain"] == "Figure: no title. traces: line"
    assert committed.FIGURE in figure.data
    assert notebook.cells[0].outputs == []  # only a copy was run

    pytest.importorskip("kaleido", reason="pip install -e '.[figures]'")
    if shutil.which("chromium") is None:
        pytest.skip("images are drawn by Chromium; apt install chromium")
    path = tmp_path / "made.ipynb"
    execute.write(fresh, path)
    assert committed.problems(read(path)) == []
    assert execute.check(path) == []
    monkeypatch.setattr(execute, "FIGURE_BYTES", 10)
    execute.write(fresh, path)
    (_, kept) = read(path).cells[0].outputs
    assert sorted(kept.data) == [committed.IMAGE, "text/plain"]
