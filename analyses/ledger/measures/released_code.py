"""What the authors' released code computes where its text says something else."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

import grokinterp as gi
from analyses.one_run.phases import EndPoint, phase_of
from probes import network_on_pairs


def batch_rule(*, seeds: int, work: Path) -> xr.Dataset:
    """The number of steps that the authors' rule gives for each batch size of their sweep.

    ``steps`` (batch): 2000 * 256 / B, as their loop counts them. B = -1 stands for full batches.
    """
    del seeds, work
    batches = [8, 256, -1]
    steps = [float(len(range(int(2000 * 256 / batch)))) for batch in batches]
    return xr.Dataset({"steps": ("batch", steps)}, coords={"batch": batches})


def grids_and_noise(*, seeds: int, work: Path) -> xr.Dataset:
    """The grid of corruptions of the released sweeps, and the noise of the released transformer.

    ``corruptions``: how many values the sweeps take; ``in_text``: how many of them are among the 19
    of the text; ``smallest``. Over seeds, of 1646 labels redrawn from 0 to p - 2 as for the
    transformer: ``last_label``, how many are p - 1; and ``last_label_of_all`` when they are redrawn
    from all p.
    """
    del work
    p, redrawn = 97, 1646
    code = np.round(np.linspace(0.1, 0.9, 17), 2)
    text = np.round(0.05 * np.arange(19), 2)

    def last_labels(n_labels: int) -> list[float]:
        found = []
        for seed in range(seeds):
            noise = torch.Generator().manual_seed(seed)
            labels = torch.randint(0, n_labels, (redrawn,), generator=noise)
            found.append(float((labels == p - 1).sum()))
        return found

    return xr.Dataset(
        {
            "corruptions": float(len(code)),
            "in_text": float(np.isin(code, text).sum()),
            "smallest": float(code.min()),
            "last_label": ("seed", last_labels(p - 1)),
            "last_label_of_all": ("seed", last_labels(p)),
        }
    )


def end_points(*, seeds: int, work: Path) -> xr.Dataset:
    """What the released sweeps keep of a run: the accuracies at its end.

    ``phases``: how many phases fit the end of the run of Fig. 8, .0091 and .0108, depending on the
    largest test accuracy before it, which the sweeps do not keep.
    """
    del seeds, work
    phases = {
        phase_of(
            EndPoint(
                test=0.0108,
                train=0.0091,
                changed=0.0091,
                unchanged=0.0091,
                max_test=max_test,
                n_changed=1629,
                corruption=0.35,
            )
        )
        for max_test in (0.0108, 1.0)
    }
    return xr.Dataset({"phases": float(len(phases))})


def attention_mask(*, seeds: int, work: Path) -> xr.Dataset:
    """How much a causal mask changes the answers of the first paper's transformer, by its depth.

    ``change`` (layers, seed): largest difference of the logits with and without a mask, for the
    same initial weights, over the largest logit.
    """
    del work
    depths = [1, 2]
    change = np.empty((len(depths), seeds))
    for i, depth in enumerate(depths):
        for seed in range(seeds):
            config = gi.RunConfig(seed=seed, model=gi.TransformerConfig.paper1(n_layers=depth))
            free = gi.build_model(config)
            masked = gi.build_model(config.replace({"model.attention_dir": "causal"}))
            masked.load_state_dict(free.state_dict())
            with_mask, without = (network_on_pairs(net).logits() for net in (masked, free))
            largest = (with_mask - without).abs().max() / without.abs().max()
            change[i, seed] = float(largest)
    return xr.Dataset({"change": (("layers", "seed"), change)}, coords={"layers": depths})
