"""What needs no training: the analytic solution, the range of the IPR, data sets, phase tables."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

import grokinterp as gi
from analyses.one_run.phases import EndPoint, phase_of, published_phase_of
from grokinterp.losses import mse
from probes import ipr, network_on_pairs

_STEP = 0.01  # of the accuracies in the grid of end points


def analytic_network(*, seeds: int, work: Path, widths: tuple[int, ...]) -> xr.Dataset:
    """The network of Eq. 2 on all pairs mod 97, over widths and draws of its phases.

    ``accuracy``; ``off_peak``, the rms of the logits at wrong labels; ``mse``, against one-hot
    labels, mean over pairs and classes; all (width, seed).
    """
    del work
    found = np.empty((3, len(widths), seeds))
    for i, width in enumerate(widths):
        for seed in range(seeds):
            network = network_on_pairs(gi.closed_form_mlp(97, width, seed=seed))
            logits = network.logits().double()
            labels = network.pairs.sum(dim=1) % 97
            wrong = torch.ones_like(logits, dtype=torch.bool)
            wrong[torch.arange(len(labels)), labels] = False
            hits = (logits.argmax(dim=1) == labels).double().mean()
            off_peak = logits[wrong].square().mean().sqrt()
            mse = (logits - (~wrong).double()).square().mean()
            found[:, i, seed] = [float(hits), float(off_peak), float(mse)]
    names = ("accuracy", "off_peak", "mse")
    return xr.Dataset(
        {name: (("width", "seed"), values) for name, values in zip(names, found, strict=True)},
        coords={"width": list(widths)},
    )


def periodicity_range(*, seeds: int, work: Path) -> xr.Dataset:
    """The IPR of extreme vectors mod 97: a cosine, a single spike, and Gaussian rows (seed)."""
    del work
    residues = torch.arange(97, dtype=torch.float64)
    spike = torch.zeros(1, 97, dtype=torch.float64)
    spike[0, 0] = 1
    noise = [
        torch.randn(2000, 97, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for seed in range(seeds)
    ]
    cosine = torch.cos(2 * torch.pi * 5 * residues / 97)[None]
    largest, smallest = float(ipr(cosine)), float(ipr(spike))
    return xr.Dataset(
        {
            "largest": largest,
            "smallest": smallest,
            "largest_inverse": 1 / smallest,  # how many frequencies there are
            "noise": ("seed", [float(ipr(rows).mean()) for rows in noise]),
        }
    )


def data_sets(*, seeds: int, work: Path) -> xr.Dataset:
    """Counts of the authors' data sets, and what follows from them.

    ``n_train``, ``n_selected``, ``n_unchanged`` (redrawn labels that stayed true) and
    ``floor`` (train accuracy when only the changed labels are missed), over "cell"
    (alpha, xi): "0.5, 0.35" and "0.65, 0.2". ``plateau_error`` (seed): the difference of
    1 - xi + xi/p and the floor of our own independent splits, alpha .5, xi .35; ``paper_error``:
    the difference of the paper's 1 - xi. ``zero_mse``: loss of a network whose logits are all 0.
    """
    del work
    cells = {"0.5, 0.35": (0.5, 0.35), "0.65, 0.2": (0.65, 0.2)}
    counted = {name: _counts(*cell, "published") for name, cell in cells.items()}
    names = ("n_train", "n_selected", "n_unchanged", "floor")
    own = [_counts(0.5, 0.35, "independent", seed)[-1] for seed in range(seeds)]
    labels = torch.arange(97)
    zero = mse(torch.zeros(97, 97), labels)
    return xr.Dataset(
        {
            name: ("cell", [float(counts[i]) for counts in counted.values()])
            for i, name in enumerate(names)
        }
        | {
            "plateau_error": ("seed", [floor - (1 - 0.35 + 0.35 / 97) for floor in own]),
            "paper_error": ("seed", [floor - (1 - 0.35) for floor in own]),
            "zero_mse": float(zero.mean()),
        },
        coords={"cell": list(cells)},
    )


def _counts(
    fraction: float, corruption: float, protocol: str, seed: int = 0
) -> tuple[float, float, float, float]:
    config = gi.DataConfig(
        train_fraction=fraction, corruption=corruption, protocol=protocol, seed=seed
    )
    data = gi.make_dataset(config)
    n_train, n_changed = int(data.is_train.sum()), int(data.is_changed.sum())
    n_selected = int(data.is_selected.sum())
    return n_train, n_selected, n_selected - n_changed, 1 - n_changed / n_train


def phase_tables(*, seeds: int, work: Path) -> xr.Dataset:
    """How many of the paper's conditions for a phase hold, over end points of every accuracy.

    For each corruption xi, end points that generalise lie on a grid of train accuracies.
    ``overlap`` and ``nothing`` (xi): shares of the grid with more than one and with no condition of
    table 2; ``ours_unique``: 1 if our rule gives exactly one phase everywhere. ``clean_is_full``: 1
    if a network without corrupted labels that answers everything meets the condition of Full
    Inversion. ``memory_blind`` (xi): train accuracy of a network that memorises no wrong label;
    ``printed_runs``: share of the six printed runs whose phase by our rule is the paper's.
    """
    del seeds, work
    xis = np.round(np.arange(0, 0.91, 0.05), 2)
    train = np.round(np.arange(0, 1 + _STEP / 2, _STEP), 2)
    conditions = np.array(
        [[train >= 0.90, (1.05 - xi <= train) & (train < 0.90), train < 1.05 - xi] for xi in xis]
    ).sum(axis=1)
    ours = [
        phase_of(_end(train=value, test=1.0, changed=changed, xi=xi))
        for xi in (0.05, 0.35)
        for value in (0.0, 0.5, 0.9, 0.95, 1.0)
        for changed in (0.0, 0.1, 0.5, 0.9, 1.0)
    ]
    runs = {  # printed train and test accuracy, memorised share, xi, largest test accuracy, phase
        "Fig. 1a": (0.9783, 0.983, 0.937, 0.35, 0.989, "coexistence"),
        "Fig. 1b": (0.7855, 1.0, 0.381, 0.35, 1.0, "partial inversion"),
        "Fig. 1c": (0.6537, 1.0, 0.0, 0.35, 1.0, "full inversion"),
        "Fig. 5, BatchNorm": (0.8043, 1.0, 0.012, 0.2, 1.0, "full inversion"),
        "Fig. 5, no norm": (0.8185, 1.0, 0.083, 0.2, 1.0, "full inversion"),
        "Fig. 8": (0.009, 0.011, 0.0, 0.35, 1.0, "forgetting"),
    }
    both = [
        (str(phase_of(end)) == phase, str(published_phase_of(end)) == phase)
        for train_, test, changed, xi, best, phase in runs.values()
        for end in [_end(train=train_, test=test, changed=changed, xi=xi, best=best)]
    ]
    agree = np.asarray(both, dtype=float)
    return xr.Dataset(
        {
            "overlap": ("xi", (conditions > 1).mean(axis=1)),
            "nothing": ("xi", (conditions == 0).mean(axis=1)),
            "ours_unique": float(len(ours) == 50 and all(ours)),
            "memory_blind": ("xi", 1 - xis + xis / 97),
            "printed_runs": agree[:, 0].mean(),
            "printed_runs_by_table": agree[:, 1].mean(),
            "notebook_partial": float(
                str(published_phase_of(_end(train=0.8185, test=1.0, changed=0.083, xi=0.2)))
                == "partial inversion"
            ),
        },
        coords={"xi": xis},
    )


def _end(
    *, train: float, test: float, changed: float, xi: float, best: float | None = None
) -> EndPoint:
    """An end point whose true labels are all known, or as far as the train accuracy allows."""
    return EndPoint(
        test=test,
        train=train,
        changed=changed,
        unchanged=1.0 if train > 0.5 else train,
        max_test=test if best is None else best,
        n_changed=round(4704 * xi),
        corruption=xi,
    )


def network_that_ignores_wrong_labels(*, seeds: int, work: Path) -> xr.Dataset:
    """The analytic network mod 7 on data of which half the labels are redrawn, over seeds.

    It gives the true label everywhere, so it knows no wrong one. ``full_inversion`` and
    ``full_by_table``: 1 if its phase is Full Inversion, by our rule and by table 2;
    ``redrawn_known``: its accuracy on the redrawn labels, of which 1 in 7 is true.
    """
    del work
    found = []
    for seed in range(seeds):
        network = gi.closed_form_mlp(7, 400, seed=seed)
        state = {name: weight.detach() for name, weight in network.state_dict().items()}
        config = gi.RunConfig(
            data=gi.DataConfig(p=7, train_fraction=0.8, corruption=0.5, seed=seed),
            model=gi.MLPConfig(d_mlp=400),
            training=gi.TrainConfig(steps=1, lr=1e-12),
        )
        run = gi.train(config, start=gi.Checkpoint(step=0, metrics={}, state=state))
        end = EndPoint.of(run)
        found.append(
            (
                float(str(phase_of(end)) == "full inversion"),
                float(str(published_phase_of(end)) == "full inversion"),
                float(run.history.selected_accuracy[-1]),
            )
        )
    names = ("full_inversion", "full_by_table", "redrawn_known")
    return xr.Dataset(
        {
            name: ("seed", list(values))
            for name, values in zip(names, zip(*found, strict=True), strict=True)
        }
    )
