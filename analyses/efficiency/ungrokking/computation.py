"""How much generalisation survives training on with less data."""

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
    """How much generalisation survives training on with less data.

    Args:
        runs: from :func:`continued`, of any networks, weight decays, fractions and seeds.
        starts: the grokked runs that they continue.

    Returns:
        Dataset over "moments" (of the optimiser: fresh or kept), "network", "weight_decay",
        "fraction" and "seed", NaN where there is no run:

        * ``test_accuracy`` and ``train_accuracy`` (..., step), 0..1;
        * ``final``: median test accuracy over the last 30 % of the steps, which short collapses of
          some transformers do not affect; NaN for a diverged run. ``final_mean``: over seeds;
        * ``flat``: whether the run ends on a plateau (see ``curves.is_flat``). If not, it is
          unfinished, and ``final`` is not where it would have ended;
        * ``lowest``: lowest test accuracy on the way;
        * ``unseen``: last accuracy on the pairs that the start was not trained on either. (Test
          pairs are all pairs outside the smaller set, so the start was trained on most of them.)

    Raises:
        ValueError: no runs, two runs for one combination, or a run that continues none of the
            ``starts``.

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
        who = f"runs has a {network_of(run.config)}, seed {run.config.seed}, that"
        begun = (run.provenance.get("start") or {}).get("sha256")
        if begun not in origins:
            raise ValueError(
                f"{who} began from none of the starts; pass the grokked runs that it continues"
            )
        kind, start = origins[begun]
        if (run.dataset.is_train & ~start.dataset.is_train).any():
            raise ValueError(
                f"{who} trained on pairs which its start was not trained on; keep data.seed"
            )
        moments.append(kind)
        unseen.append(_accuracy(run, ~start.dataset.is_train))
    axes, labels = ("network", "weight_decay", "fraction", "seed"), {"moments": moments}
    data = side_by_side(runs, axes, labels=labels, numbers={"unseen": unseen})
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
    answers = run.model(run.dataset.tokens[pairs]).argmax(dim=-1)
    return (answers == run.dataset.clean_labels[pairs]).double().mean().item()
