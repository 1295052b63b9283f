"""Wrong labels on images: what weight decay and dropout forget (Doshi et al. 2023, Fig. 16).

``grokinterp run images OUT`` trains a four-layer ReLU network on scikit-learn's digits, or on MNIST
from a folder, with cross-entropy. The paper states no more than that: widths, rates, batches,
steps, corruption and the values that are scanned are our choice (``training.ImageConfig``,
``runs.SCANS``).

Examples:
    >>> from analyses import images
    >>> from analyses.images.training import ImageConfig, train
    >>> digits = images.load("digits")  # of scikit-learn
    >>> data = train(digits, ImageConfig(n_train=200, n_layers=2, width=32, steps=20))
    >>> data.accuracy.dims, data.attrs["n_test"]
    (('step', 'subset'), 1597)
"""

from collections.abc import Iterator
from typing import Annotated

import typer

from analyses.announcement import Announcement
from analyses.images import training
from analyses.images.computation import compute, table
from analyses.images.figures import plot_history, plot_scans
from analyses.images.loading import DIGITS, load
from analyses.images.runs import collect, file_of, scan_of
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding

__all__ = ["compute", "experiment", "load", "plot_history", "plot_scans", "table"]


def experiment(
    out: Out,
    size: Size = "small",
    seeds: Seeds = 3,
    images: Annotated[
        str, typer.Option(help="digits, or a folder with MNIST's files or a Hugging Face data set")
    ] = DIGITS,
) -> Iterator[Announcement | Finding]:
    """Train on images with wrong labels, with more and more weight decay or dropout."""
    loaded = load(images)
    scan = scan_of(size, loaded)
    configs = scan.configs(seeds)
    missing = [config for config in configs if not file_of(out, loaded, config).exists()]
    yield Announcement(
        seconds=len(missing) * training.seconds(loaded, scan.base) if missing else 0.0,
        runs=len(missing),
        all_runs=len(configs),
        steps=sum(config.steps for config in missing),
        stored=f"Results are saved to {out} as soon as a run is trained",
    )
    data = compute(scan, configs, collect(out, loaded, configs))
    middle = scan.corruptions[len(scan.corruptions) // 2]
    figures = [plot_scans(data, title=f"Wrong labels on images: {loaded.name}")]
    for name in ("weight_decay", "dropout"):
        title = f"{loaded.name}, corruption {middle:g}"
        figures.append(plot_history(data, name, middle, title=title))
    yield Finding(data=data, figures=figures, rows=table(data))
