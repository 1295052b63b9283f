"""Figures for print: their sizes in the files, and what is refused."""

import importlib.util
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

import grokinterp as gi
from grokinterp import printed_figures
from grokinterp.printed_figures import for_print


@pytest.fixture
def figure() -> go.Figure:
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], line={"width": 3}, name="curve of test"))
    figure.add_scatter(x=[1, 2], y=[4, 3], mode="markers", marker={"size": 9})
    text = "written title<br><span style='font-size:13px'>3 seeds</span>"
    figure.update_layout(coloraxis={"colorbar": {"tickfont": {"size": 15}}})
    layout: dict[str, Any] = {"height": 400, "margin_t": 80, "xaxis_title": "step"}
    return figure.update_layout(title={"text": text, "font": {"size": 17}}, **layout)


@pytest.fixture(scope="module")
def browser() -> Iterator[None]:
    """One browser for all files of this module."""
    kaleido: Any = pytest.importorskip("kaleido")
    import choreographer.browsers.chromium as chromium

    if not chromium.Chromium.find_browser(skip_local=False):
        pytest.skip("there is no Chrome or Chromium; apt install chromium")
    kaleido.start_sync_server(silence_warnings=True)
    yield
    kaleido.stop_sync_server(silence_warnings=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The kopts argument is ignored")
def test_files_have_the_width_and_text_stays_text(
    figure: go.Figure, tmp_path: Path, browser: None
) -> None:
    given = figure.to_dict()
    for name in ("a.pdf", "a.svg", "a.png"):
        gi.save_figure(figure, tmp_path / name)
    gi.save_figure(figure, tmp_path / "page.svg", width="page")
    assert figure.to_dict() == given
    pdf = (tmp_path / "a.pdf").read_bytes()
    found = re.search(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert found
    points = 25.4 / 72
    assert float(found[1]) * points == pytest.approx(82.55, abs=0.3)
    assert b"/ToUnicode" in pdf  # letters, not outlines
    svg = (tmp_path / "a.svg").read_text()
    sizes = re.findall(r'<svg[^>]* width="(\d+)" height="(\d+)"', svg)[0]
    assert [int(size) * 25.4 / 96 for size in sizes] == pytest.approx([82.55, 84.67], abs=0.3)
    assert "written title" in svg
    assert "curve of test" in svg
    texts = {float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)}
    assert [*texts] == pytest.approx([8 * 96 / 72] * len(texts), abs=0.01)
    page = re.findall(r'<svg[^>]* width="(\d+)"', (tmp_path / "page.svg").read_text())[0]
    assert int(page) * 25.4 / 96 == pytest.approx(139.7, abs=0.3)
    width, _ = struct.unpack(">II", (tmp_path / "a.png").read_bytes()[16:24])
    assert width == pytest.approx(82.55 / 25.4 * 300, abs=2)


def test_every_size_is_for_print(figure: go.Figure) -> None:
    printed: Any = for_print(figure)
    assert printed.data[0].line.width == pytest.approx(2)
    assert printed.data[1].marker.size == pytest.approx(6)
    assert printed.layout.height == 320
    assert printed.layout.margin.t == 64
    assert "font-size:10.67px" in printed.layout.title.text
    sizes = re.findall(r"font': {[^}]*'size': ([\d.]+)", str(printed.layout.to_plotly_json()))
    assert {round(float(size), 2) for size in sizes} == {10.67}


@pytest.mark.parametrize(
    ("path", "width", "message"),
    [
        ("figure.jpg", "column", r"\.pdf, \.svg or \.png, got 'figure.jpg'"),
        ("figure", "column", r"\.pdf, \.svg or \.png"),
        ("figure.pdf", "half", r"'column', 'page' or a number of mm, got 'half'"),
        ("figure.pdf", 3.0, "width must lie in"),
    ],
)
def test_unknown_formats_and_widths_are_refused(
    figure: go.Figure, path: str, width: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        gi.save_figure(figure, path, width=width)


def test_a_missing_folder_is_refused(figure: go.Figure, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist; make it first"):
        gi.save_figure(figure, tmp_path / "nowhere" / "a.pdf")


def test_what_to_install_is_said(
    figure: go.Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"grokinterp\[figures\]"):
            gi.save_figure(figure, tmp_path / "a.pdf")

    def without_browser(*args: Any, **options: Any) -> bytes:
        raise RuntimeError("Kaleido requires Google Chrome to be installed.")

    pytest.importorskip("kaleido")
    monkeypatch.setattr(go.Figure, "to_image", without_browser)
    with pytest.raises(RuntimeError, match="apt install chromium"):
        gi.save_figure(figure, tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())
    assert printed_figures.WIDTHS == {"column": 82.55, "page": 139.7}
