"""Ungrokking: a network that generalises forgets to, trained on with too little data (Figs. 7, 8).

``python -m analyses.efficiency.ungrokking OUT`` grokks the starts, trains every one of them on with
smaller and smaller parts of its data, and finds the size at which validation accuracy is lost.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
import typer
from jaxtyping import Bool
from torch import Tensor

import grokinterp as gi
from analyses.collect import Named, collect, folder_name
from analyses.efficiency import settings
from analyses.efficiency import ungrokking_plot as plots
from analyses.efficiency.curves import is_flat
from analyses.efficiency.histories import network_of, side_by_side
from analyses.efficiency.ungrokking_place import locate
from analyses.errors import clear_errors
from analyses.script import write_figures

if TYPE_CHECKING:
    import xarray as xr

GROKKED = 0.999  # train and validation accuracy of a start
END = "end"  # a start's checkpoint with its optimiser's moments
WEIGHT_DECAYS = {  # a tenth of the size's reference, the reference, and ten times as much
    "tiny": (0.1, 1.0),
    "small": (0.1, 1.0, 10.0),
    "published": (0.01, 0.1, 1.0),
}
FRACTIONS = {
    "tiny": (0.1, 0.3),
    "small": (0.025, 0.04, 0.06, 0.085, 0.12, 0.16, 0.21, 0.27, 0.35),
    "published": tuple(percent / 100 for percent in range(1, 16)),
}
TAIL = 0.1  # final values are means over this share of the steps
MOMENTS = ("fresh", "kept")


def check_grokked(start: gi.Run, level: float = GROKKED) -> None:
    """Raise unless a run ends with train and test accuracy of at least ``level``.

    Raises:
        ValueError: it does not, with its numbers; or it diverged.
    """
    named = f"start (a {network_of(start.config)}, seed {start.config.seed})"
    if start.diverged_at is not None:
        raise ValueError(f"{named} diverged after step {start.diverged_at}; choose another seed")
    last = start.history.isel(step=-1)
    accuracy = {name: float(last[f"{name}_accuracy"]) for name in ("train", "test")}
    if not all(value >= level for value in accuracy.values()):
        reached = ", ".join(f"{name} accuracy {value:.4f}" for name, value in accuracy.items())
        raise ValueError(
            f"{named} has not grokked: {reached} at step {int(last.step)}, where {level} is asked "
            "of both; train it for longer, choose another seed, or lower level"
        )


def continued(
    start: gi.Run,
    fraction: float,
    weight_decay: float,
    steps: int,
    *,
    kept: bool = False,
    level: float = GROKKED,
    fewer_than_classes: bool = False,
) -> Named:
    """A grokked run trained on with a part of the data it has seen.

    Args:
        start: the run; its split is kept, so that the smaller set is a part of its training set.
        fraction: of all pairs, less than the start's.
        weight_decay: from now on.
        steps: updates from now on; about 200 rows of history.
        kept: go on with the optimiser's moments, which the start must have kept in a checkpoint
            ``END`` of its last step; otherwise the optimiser starts afresh, as in the paper.
        level: accuracy that ``start`` must have, see :func:`check_grokked`.
        fewer_than_classes: allow sets with fewer pairs than there are classes, as the paper's 1 %.

    Raises:
        ValueError: the start has not grokked or lacks its moments; the fraction is not smaller, or
            leaves fewer pairs than classes.

    Source: second paper, Figs. 7 and 8; Varma et al. 2023, arXiv:2309.02390.
    """
    check_grokked(start, level)
    data = start.config.data
    if not 0 < fraction < data.train_fraction:
        raise ValueError(
            f"fraction must lie in (0, {data.train_fraction}), below the start's, got {fraction}"
        )
    config = settings.with_fraction(start.config, fraction).replace({
        "training.weight_decay": weight_decay,
        "training.steps": steps,
        "training.eval_every": max(1, steps // 200),
    })  # fmt: skip
    if config.data.n_train < data.p and not fewer_than_classes:
        raise ValueError(
            f"fraction={fraction} leaves {config.data.n_train} pairs, fewer than the {data.p} "
            f"classes; use at least {data.p / data.p**2:.3g}, or fewer_than_classes=True"
        )
    words = network_of(config), "seed", config.seed, "wd", f"{weight_decay:g}", f"{fraction:g}"
    folder = folder_name("ungrok", *words, *(["kept"] if kept else []))
    return Named(folder, config, _begin(start, kept=kept))


def _begin(start: gi.Run, *, kept: bool) -> gi.Checkpoint:
    if not kept:
        return start.checkpoint()
    if END not in start.checkpoints:
        raise ValueError(
            f"start has no checkpoint {END!r}, so its optimiser's moments are lost; train it with "
            f"checkpoints={{{END!r}: gi.at_step(steps)}}"
        )
    return start.checkpoints[END]


def collect_runs(
    out: Path, size: str, seeds: int, *, level: float = GROKKED
) -> tuple[list[gi.Run], list[gi.Run]]:
    """Train what is not in ``out`` yet: the grokked starts, and what continues them; both.

    Raises:
        ValueError: a start has not grokked.
    """
    usual = [settings.network(network, size) for network in settings.NETWORKS]
    steps = usual[0].training.steps
    starts = collect(out, [
        Named(
            folder_name("start", network_of(config), "seed", seed),
            settings.seeded(config, seed),
        )
        for config in usual for seed in range(seeds)
    ], checkpoints={END: gi.at_step(steps)})  # fmt: skip
    # The optimiser's moments are kept as a control, at the size's own weight decay alone.
    kinds = [(weight_decay, False) for weight_decay in WEIGHT_DECAYS[size]]
    kinds.append((usual[0].training.weight_decay, True))
    runs = collect(out, [
        continued(
            start, fraction, weight_decay, steps, kept=kept, level=level,
            fewer_than_classes=size == "published",
        )
        for start in starts for weight_decay, kept in kinds for fraction in FRACTIONS[size]
    ])  # fmt: skip
    return starts, runs


def compute(runs: Sequence[gi.Run], starts: Sequence[gi.Run]) -> "xr.Dataset":
    """What is left of generalising after training on with less data.

    Args:
        runs: of :func:`continued`, of any networks, weight decays, fractions and seeds.
        starts: what they started from.

    Returns:
        Dataset over "moments" (of the optimiser: fresh or kept), "network", "weight_decay",
        "fraction" and "seed", NaN where there is no such run:

        * ``test_accuracy`` and ``train_accuracy`` (..., step), 0..1;
        * ``final``: mean test accuracy over the last 10 % of the steps; NaN for a diverged run;
          ``final_mean`` over seeds;
        * ``flat``: whether it has a plateau to be read (see ``curves.is_flat``): where not, the
          run is unfinished, and ``final`` is not where it would have ended;
        * ``lowest``: least test accuracy on the way;
        * ``unseen``: last accuracy on the pairs that the start was not trained on either. Test
          pairs are all outside the smaller set, so most of them were training pairs once.

    Raises:
        ValueError: no runs, two of one cell, or a run that began from none of the ``starts``.

    Source: second paper, Figs. 7 and 8.
    """
    origins = {start.checkpoint().digest: ("fresh", start) for start in starts}
    for start in starts:
        if END in start.checkpoints:
            origins[start.checkpoints[END].digest] = ("kept", start)
    moments, unseen = [], []
    for run in runs:
        begun = (run.provenance.get("start") or {}).get("sha256")
        if begun not in origins:
            raise ValueError(
                f"runs has a {network_of(run.config)}, seed {run.config.seed}, that began from "
                "none of the starts; pass the grokked runs that it was continued from"
            )
        kind, start = origins[begun]
        if (run.dataset.is_train & ~start.dataset.is_train).any():
            raise ValueError(
                f"runs has a {network_of(run.config)}, seed {run.config.seed}, that trained on "
                "pairs which its start was not trained on; keep data.seed"
            )
        moments.append(kind)
        unseen.append(_accuracy(run, ~start.dataset.is_train))
    data = side_by_side(
        runs, ("network", "weight_decay", "fraction", "seed"),
        labels={"moments": moments}, numbers={"unseen": unseen},
    )  # fmt: skip
    final, lowest, flat = (data.last_step.copy(deep=True) for _ in range(3))
    for at in np.argwhere(data.last_step.notnull().values):
        cell = tuple(at)
        curve = data.test_accuracy[cell].dropna("step")
        ended = not bool(data.diverged[cell]) and curve.sizes["step"] > 1
        late = curve.sel(step=slice((1 - TAIL) * float(curve.step[-1]), None))
        final[cell] = late.mean() if ended else np.nan
        flat[cell] = ended and is_flat(curve.step.values, curve.values)
        lowest[cell] = curve.min()
    return data.assign(
        final=final, lowest=lowest, flat=flat == 1, final_mean=final.mean("seed"),
    )  # fmt: skip


@torch.no_grad()
def _accuracy(run: gi.Run, pairs: Bool[Tensor, " pair"]) -> float:
    if run.diverged_at is not None:
        return np.nan
    said = run.model(run.dataset.tokens[pairs]).argmax(dim=-1)
    return (said == run.dataset.clean_labels[pairs]).double().mean().item()


def main(
    out: Annotated[Path, typer.Argument(help="folder with one folder per run")],
    size: Annotated[str, typer.Option(help=f"of {', '.join(settings.SIZES)}")] = "small",
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    level: Annotated[float, typer.Option(help="accuracy that a start must have")] = GROKKED,
) -> None:
    """Grok three networks, train them on with less data, and locate where they forget."""
    with clear_errors():
        starts, runs = collect_runs(out, size, seeds, level=level)
        data = locate(compute(runs, starts))
        figures = [plots.plot_final(data)]
        for network in data.network.values:
            figures.append(plots.plot_decay(data, network=network))
            figures.append(plots.plot_trajectories(data, network=network))
        write_figures("ungrokking", out, out / "ungrokking.html", data, figures)
        for network in data.network.values:
            for moments in data.moments.values:
                said = data.sel(network=network, moments=moments)
                typer.echo(f"{network}, {moments} optimiser: {said.appears.item()}")
                typer.echo(f"{network}, {moments} optimiser: {said.place.item()}")


if __name__ == "__main__":
    typer.run(main)
