"""Python blocks of the README and of docs/ run as they are written, on smaller networks."""

import functools
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import plotly.graph_objects as go
import plotly.io._renderers
import pytest
import torch

import grokinterp as gi
from analyses import hypothesis
from analyses.registry import ANALYSES, EXPERIMENTS
from analyses.site.pages import made
from grokinterp.printed_figures import for_print
from grokinterp.training import trainer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIALS = sorted(ROOT.glob("tutorials/*.ipynb"))
BLOCKS = {
    page.name: re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    for page in PAGES
}
FIGURES = {  # shown by each page's blocks
    "README.md": 2,
    "index.md": 1,
    "five_in_eight_lines.md": 2,
    "fourier_features.md": 1,
    "phase_diagram.md": 1,
    "switch_neurons_off.md": 1,
}
STORES = {
    "README.md": {"small.zarr"},
    "phase_diagram.md": {"small.zarr"},
    "interrupted.md": {"mine.zarr"},
    "cluster.md": {"cluster.zarr"},
    "five_in_eight_lines.md": {"widths.zarr"},
}
SMALL = {"data.p": 11, "training.steps": 2}
WIDTH = {gi.MLPConfig: "d_mlp", gi.TransformerConfig: "d_model"}


def shrunk(config: gi.RunConfig) -> gi.RunConfig:
    return config.replace(SMALL | {f"model.{WIDTH[type(config.model)]}": 24})


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training, sweeps and hypothesis as usual, but small enough for fractions of a second."""

    def train_many(configs: Any, **options: Any) -> list[gi.Run]:
        return trainer.train_many([shrunk(config) for config in configs], **options)

    sweep = gi.sweep
    # Files are written in test_printed_figures.py, with one browser for all.
    monkeypatch.setattr(gi, "save_figure", lambda figure, path, **options: for_print(figure))
    monkeypatch.setattr(
        gi, "train", lambda config, **options: train_many([config], progress=False, **options)[0]
    )
    monkeypatch.setattr(gi, "train_many", train_many)
    for name in ("compute", "compute_model"):
        few = functools.partial(getattr(hypothesis, name), random_draws=2)
        monkeypatch.setattr(hypothesis, name, few)
    monkeypatch.setattr(
        gi,
        "sweep",
        lambda base, axes, **options: sweep(
            shrunk(base), {path: values[:2] for path, values in axes.items()}, **options
        ),
    )


class Client:
    """Stands in for Dask's: hands out an executor of this process."""

    def __init__(self, cluster: MagicMock) -> None:
        cluster.scale.assert_called_once_with(jobs=8)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.shutdown()

    def get_executor(self) -> ThreadPoolExecutor:
        self.executor = ThreadPoolExecutor(1)
        return self.executor


@pytest.mark.usefixtures("small_networks", "no_type_checker")
@pytest.mark.parametrize("page", [name for name, blocks in BLOCKS.items() if blocks])
def test_every_block_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(len(figure.data)))
    cluster: Any = SimpleNamespace(SLURMCluster=MagicMock())
    monkeypatch.setitem(sys.modules, "dask_jobqueue", cluster)
    monkeypatch.setitem(sys.modules, "dask.distributed", MagicMock(Client=Client))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    with torch.enable_grad():  # a block switches gradients off, and here they come back
        for number, block in enumerate(BLOCKS[page]):
            exec(compile(block, f"{page} block {number}", "exec"), names)
    assert len(shown) == FIGURES.get(page, 0)
    assert 0 not in shown
    assert {p.name for p in tmp_path.iterdir() if p.is_dir()} == STORES.get(page, set())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_only_files_that_exist_are_named(page: Path) -> None:
    """Links and pictures, and files and modules that the text and its tables call by name."""
    text = page.read_text(encoding="utf-8")
    linked = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    there = made(ROOT) if page.name == "index.md" else {}  # the site's start page alone
    assert [link for link in linked if not (page.parent / link).exists()] == [
        link for link in linked if link in there
    ]
    quoted = re.findall(r"`((?:grokinterp|probes|analyses|docs|tutorials|tests)/[\w./]+)`", text)
    assert [name for name in quoted if not (ROOT / name).exists()] == []
    assert len(linked) > 5 or page.name != "README.md"


@pytest.mark.parametrize(
    "page", [*PAGES, *ROOT.glob("tutorials/*.ipynb")], ids=lambda page: page.name
)
def test_only_commands_that_exist_are_named(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "python -m analyses" not in text
    assert set(re.findall(r"grokinterp run (\w+)", text)) <= {*EXPERIMENTS, "NAME"}
    assert set(re.findall(r"grokinterp analyse \w+ (\w+)", text)) <= {*ANALYSES}


def test_figures_show_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plotly refuses to without nbformat, which a kernel alone does not install."""
    shown: list[dict[str, Any]] = []
    display = SimpleNamespace(display=lambda bundle, raw: shown.append(bundle))
    monkeypatch.setattr(plotly.io._renderers, "ipython_display", display)
    go.Figure(go.Scatter(y=[1, 2])).show(renderer="vscode")
    assert list(shown[0]) == ["application/vnd.plotly.v1+json"]
