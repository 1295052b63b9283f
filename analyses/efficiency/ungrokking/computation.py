"""What is left of generalising after training on with less data."""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool
from torch import Tensor

import grokinterp as gi
from analyses.efficiency.histories import network_of, side_by_side
from analyses.efficiency.ungrokking.runs import START
from analyses.statistics.curves import is_flat, late_level
from analyses.statistics.over_runs import read_each


def compute(runs: Sequence[gi.Run], starts: Sequence[gi.Run]) -> xr.Dataset:
    """What is left of generalising after training on with less data.

    Args:
        runs: of :func:`continued`, of any networks, weight decays, fractions and seeds.
        starts: what they started from.

    Returns:
        Dataset over "moments" (of the optimiser: fresh or kept), "network", "weight_decay",
        "fraction" and "seed", NaN where there is no such run:

        * ``test_accuracy`` and ``train_accuracy`` (..., step), 0..1;
        * ``final``: median test accuracy over the last 30 % of the steps, which the short collapses
          of some transformers do not move; NaN for a diverged run;
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
    origins = {}
    for start in starts:
        checkpoint = start.checkpoints[START] if START in start.checkpoints else start.checkpoint()
        origins[checkpoint.fresh().digest] = ("fresh", start)
        if checkpoint.moments is not None:
            origins[checkpoint.digest] = ("kept", start)
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
    ended = ~data.diverged
    final = read_each(late_level, data.test_accuracy).where(ended)
    return data.assign(
        final=final,
        final_mean=final.mean("seed"),
        flat=(read_each(is_flat, data.test_accuracy) == 1) & ended,
        lowest=data.test_accuracy.min("step"),
    )


@torch.no_grad()
def _accuracy(run: gi.Run, pairs: Bool[Tensor, " pair"]) -> float:
    if run.diverged_at is not None:
        return np.nan
    said = run.model(run.dataset.tokens[pairs]).argmax(dim=-1)
    return (said == run.dataset.clean_labels[pairs]).double().mean().item()
