"""How much data each optimiser and regulariser needs to generalise (second paper, Fig. 4).

``grokinterp run data_efficiency OUT`` trains nine settings on nine fractions of the pairs, at two
learning rates, as one sweep; if it is killed, the same command continues it.

The published panels differ in more than their titles say: those with weight decay use AdamW, and
batches and learning rates differ. Here every setting differs from one baseline in one thing, and is
compared with it at the same learning rate, split by split.

Examples:
    >>> from analyses.efficiency import data_efficiency
    >>> job = data_efficiency.job("out", "tiny", seeds=1, workers=1)
    >>> job.grid.size, {axis: len(values) for axis, values in job.axes.items()}
    (30, {'setting': 15, 'data.train_fraction': 2})
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from analyses.announcement import Announcement
from analyses.efficiency import settings
from analyses.efficiency.data_efficiency.computation import READINGS, compute, read_published, table
from analyses.efficiency.data_efficiency.figures import plot_curves, plot_ranking
from analyses.efficiency.data_efficiency.runs import GROK_MEASURES, job
from analyses.options import Out, Seeds, Size
from analyses.pages.finding import Finding

__all__ = ["GROK_MEASURES", "compute", "experiment", "job", "read_published", "table"]


def experiment(
    out: Out,
    size: Size = "small",
    seeds: Seeds = settings.SEEDS,
    workers: Annotated[int, typer.Option(help="processes; 1 trains here, with all threads")] = 1,
    targets: Annotated[
        Path | None, typer.Option(help="file of the paper's numbers, to draw its curves")
    ] = None,
) -> Iterator[Announcement | Finding]:
    """Train nine settings on nine fractions, at two learning rates, and see who needs less data."""
    published = None if targets is None else read_published(targets)
    todo = job(out, size, seeds, workers)
    left = todo.estimate()
    yield Announcement(
        seconds=left.seconds,
        runs=left.runs,
        all_runs=todo.grid.size,
        steps=left.steps,
        stored=f"Runs are stored in {todo.store} block by block",
    )
    data = compute(todo.run())
    curves = [plot_curves(data, reading=reading, published=published) for reading in READINGS]
    rankings = [plot_ranking(data, reading=reading) for reading in READINGS]
    yield Finding(data=data, figures=[*curves, *rankings], rows=table(data))
