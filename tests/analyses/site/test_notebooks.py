"""Notebooks as pages."""

import base64
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from analyses.site.notebooks import convert, plain, with_formulas


def saved(folder: Path, cells: list[Any]) -> Path:
    path = folder / "01_made_up.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_a_notebook_as_a_page(tmp_path: Path) -> None:
    figure = {
        "image/png": base64.b64encode(b"a picture").decode(),
        "application/vnd.plotly.v1+json": {},
        "text/plain": "Figure()",
    }
    table = '<table border="1" class="dataframe">\n<tr><td>1</td></tr>\n</table>'
    outputs = [
        new_output("stream", name="stdout", text="  0%\r100%\n\x1b[1mdone\x1b[0m\n"),
        new_output("stream", name="stderr", text="a warning"),
        new_output("display_data", data=figure),
        new_output("execute_result", data={"text/plain": "0.5"}),
        new_output(
            "execute_result", data={"text/plain": "a b", "text/html": f"<div>{table}</div>"}
        ),
    ]
    cells = [new_markdown_cell("# A title\n\nText."), new_code_cell("run()", outputs=outputs)]
    page = convert(saved(tmp_path, cells))
    assert (page.name, page.title) == ("01_made_up", "A title")
    assert page.pictures == {"01_made_up-01.png": b"a picture"}
    assert page.markdown == (
        "# A title\n\nText.\n\n```python\nrun()\n```\n\n```text\n100%\ndone\n```\n\n"
        "![Figure 1](01_made_up-01.png)\n\n```text\n0.5\n```\n\n"
        f'<div class="frame">\n{table}\n</div>\n'
    )


def test_a_notebook_without_a_heading(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"01_made_up.ipynb has no heading.*begin it with"):
        convert(saved(tmp_path, [new_markdown_cell("Text.")]))


def test_formulas_become_mathml() -> None:
    text = with_formulas("$c_k$ costs `$5`:\n\n$$\n\\cos w\n$$\n")
    assert text.count("<math ") == 2
    assert text.startswith("<span><math ")  # else the line would be a paragraph of its own
    assert "<msub><mi>c</mi><mi>k</mi></msub>" in text
    assert 'display="block"' in text
    assert "`$5`" in text
    assert "$$" not in text


def test_text_of_a_terminal() -> None:
    assert plain("a\r\nbar 10%\rbar 20%\n\x1b[31mred\x1b[0m\n") == "a\nbar 20%\nred"
