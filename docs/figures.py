"""Draw the README's pictures (needs kaleido).

python docs/figures.py pruning DEMO          a folder that ``grokinterp demo`` wrote
python docs/figures.py phases RESULTS        analyses/ledger/results, or where
                                             ``grokinterp ledger run --figure fig3a`` put its own
python docs/figures.py sweep SWEEP.zarr      the sweep of ``grokinterp sweep fig3a --per-neuron``;
                                             writes tutorials/data/phase_diagram.nc alone
python docs/figures.py hypothesis OUT        what ``grokinterp run architectures OUT`` wrote;
                                             also writes docs/hypothesis.nc
python docs/figures.py dissociation OUT      what ``grokinterp run dissociation OUT`` wrote;
                                             also writes docs/dissociation.nc
python docs/figures.py grokking OUT          what ``grokinterp run grokking_across OUT`` wrote, with
                                             ``--size small``
python docs/figures.py published RESULTS     analyses/ledger/results, or where ``grokinterp ledger
                                             run --paper 2`` put its own
python docs/figures.py d_crit OUT            what ``grokinterp run d_crit OUT`` wrote;
                                             also writes tutorials/data/d_crit.nc
python docs/figures.py stability OUT         what ``grokinterp run stability OUT`` wrote;
                                             writes docs/stability.nc alone
python docs/figures.py explorer PAGE         what ``grokinterp explore RUN`` wrote, for RUN of
                                             ``grokinterp train RUN --checkpoints 30`` (needs
                                             playwright and Chromium)
"""

import json
import shutil
import sys
from pathlib import Path

import xarray as xr

from analyses import dissociation, hypothesis, phase_diagram, pruning, sweep_phases
from analyses.efficiency import d_crit, grokking_across
from analyses.ledger.measures.diagrams import joined
from analyses.ledger.paper1.phase_diagrams import DECAY
from analyses.ledger.paper2 import grokking
from analyses.ledger.results import load, parts_of
from analyses.site.published_curves import compares_curves, plot_curves
from grokinterp import Run, open_sweep
from grokinterp.files import replacing

HERE = Path(__file__).parent


def draw_pruning(run: str) -> None:
    """Accuracy while neurons are removed in order of IPR."""
    data = pruning.compute(Run.load(run), orders=["ipr"])
    figure = pruning.plot_pruning(data)
    figure.write_image(HERE / "pruning.png", width=980, height=460, scale=1.5)


def draw_phases(folder: str) -> None:
    """The phase diagram of Fig. 3a that the ledger compares."""
    sweep = joined(list(parts_of(Path(folder), DECAY).values()), "fig3a")
    figure = phase_diagram.plot_diagram(sweep_phases.compute(sweep), title="")
    figure.write_image(HERE / "phase_diagram.png", width=1100, height=420, scale=1.5)


def store_sweep(store: str) -> None:
    """The tutorial's sweep as one small file."""
    sweep = open_sweep(store).load()
    if not bool(sweep.done.all()):
        raise SystemExit(f"{store}: {int((~sweep.done).sum())} runs are not trained yet")
    # Single precision is plenty for the IPR of half a million neurons.
    packed = {"ipr": {"dtype": "float32", "zlib": True, "shuffle": True}}
    target = HERE.parent / "tutorials" / "data" / "phase_diagram.nc"
    named = sweep.rename({"ipr_0": "neuron"} if "ipr_0" in sweep.dims else {})
    with replacing(target) as file:
        named.to_netcdf(file, engine="h5netcdf", encoding=packed)
    for session in json.loads(sweep.attrs["provenance"]):
        print(session)


def draw_dissociation(out: str) -> None:
    """S_mem against S_gen of every network and kind of units, and all numbers."""
    with xr.open_dataset(Path(out) / "dissociation.nc", engine="h5netcdf") as stored:
        data = stored.load()
    with replacing(HERE / "dissociation.nc") as file:
        data.to_netcdf(file, engine="h5netcdf")
    dissociation.plot_map(data).write_image(HERE / "dissociation.png", width=980, scale=1.5)


def draw_hypothesis(out: str) -> None:
    """The causal test on one seed of every setting, and the numbers of all runs."""
    with xr.open_dataset(Path(out) / "hypothesis.nc", engine="h5netcdf") as stored:
        data = stored.load()
    with replacing(HERE / "hypothesis.nc") as file:
        data.to_netcdf(file, engine="h5netcdf")
    figure = hypothesis.plot_verdicts(data.isel(run=data.seed.values == 0), title="")
    figure.write_image(HERE / "hypothesis.png", width=950, scale=1.5)


def draw_grokking(out: str) -> None:
    """Accuracies of three networks on half of the pairs."""
    with xr.open_dataset(Path(out) / "grokking_across.nc", engine="h5netcdf") as stored:
        data = stored.load()
    grokking_across.plot_networks(data).write_image(HERE / "grokking.png", width=900, scale=1.5)


def draw_published(folder: str) -> None:
    """Accuracies at the second paper's published sizes, over those that it prints."""
    compared = []
    for entry in grokking.ENTRIES:
        if compares_curves(entry) and (stored := load(Path(folder), entry.source)) is not None:
            compared.append((entry, stored.data))
    figure = plot_curves(compared, title="Published size: points of the paper, our runs")
    figure.write_image(HERE / "published_size.png", width=1000, scale=1.5)


def draw_d_crit(out: str) -> None:
    """The curves behind the MLP's three estimates of D_crit, and their numbers."""
    with xr.open_dataset(Path(out) / "d_crit_mlp_1.nc", engine="h5netcdf") as stored:
        data = stored.load()
    data.to_netcdf(HERE.parent / "tutorials" / "data" / "d_crit.nc", engine="h5netcdf")
    d_crit.plot_curves(data).write_image(HERE / "d_crit.png", width=900, scale=1)


def store_stability(out: str) -> None:
    """The curves and verdicts of every setting that was tried."""
    with xr.open_dataset(Path(out) / "stability.nc", engine="h5netcdf") as stored:
        data = stored.load()
    packed = {"dtype": "float32", "zlib": True, "shuffle": True}
    encoding = {"train_accuracy": packed, "test_accuracy": packed}
    with replacing(HERE / "stability.nc") as file:
        data.to_netcdf(file, engine="h5netcdf", encoding=encoding)


def draw_explorer(page: str) -> None:
    """The upper part of the explorer, with the least periodic neurons off."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 1320})
        tab.goto(f"{Path(page).resolve().as_uri()}#unit=20")
        tab.wait_for_selector("body[data-ready=yes]")
        tab.locator("#low").fill("190")
        tab.wait_for_selector("body[data-ready=yes]")
        tab.screenshot(path=HERE / "explorer.png")
        browser.close()


if __name__ == "__main__":
    draw = {
        "pruning": draw_pruning,
        "phases": draw_phases,
        "sweep": store_sweep,
        "hypothesis": draw_hypothesis,
        "dissociation": draw_dissociation,
        "grokking": draw_grokking,
        "published": draw_published,
        "d_crit": draw_d_crit,
        "stability": store_stability,
        "explorer": draw_explorer,
    }
    draw[sys.argv[1]](sys.argv[2])
