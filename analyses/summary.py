"""A run in a dozen numbers: what the command line prints and the report opens with."""

from typing import TYPE_CHECKING, Any

from analyses import ipr_histogram, phases
from analyses.ipr_histogram import HIGH, LOW
from analyses.pruning import curve
from grokinterp import Run
from grokinterp.data import SUBSETS

if TYPE_CHECKING:
    import xarray as xr

# Where the pruning experiment is read off: this share of neurons gone, in order of IPR.
READ_AT = {"low": 0.6, "high": 0.3}


def summarise(run: Run, pruned: "xr.Dataset") -> dict[str, Any]:
    """Plain numbers of a run, ready for JSON.

    Args:
        run: a run of a two-layer network.
        pruned: :func:`analyses.pruning.compute` of it, with the order "ipr".
    """
    last = run.history.isel(step=-1)
    neurons = ipr_histogram.compute(run).isel(run=0)
    width = run.config.model.d_mlp
    n_low, n_high, n_dead = (int(neurons[name]) for name in ("n_low", "n_high", "n_dead"))
    data, training = run.config.data, run.config.training
    pruning = {}
    for direction, share in READ_AT.items():
        accuracy = curve(pruned, "ipr", direction).accuracy.isel(removed=round(share * width))
        pruning[direction] = {"fraction": share} | {
            subset: float(accuracy.sel(subset=subset)) for subset in SUBSETS
        }
    return {
        "phase": str(phases.classify(run)),
        "task": {
            "operation": str(getattr(data.operation, "name", data.operation)), "p": data.p,
            "train_fraction": data.train_fraction, "corruption": data.corruption,
            "changed_labels": int(run.dataset.is_changed.sum()), "data_seed": data.seed,
        },
        "training": {
            "steps": training.steps, "lr": training.lr, "weight_decay": training.weight_decay,
            "lr_times_weight_decay": training.lr * training.weight_decay, "seed": run.config.seed,
        },
        "accuracy": {
            subset: float(last[f"{subset}_accuracy"])
            for subset in SUBSETS if f"{subset}_accuracy" in last  # "selected" is younger
        },
        "loss": {split: float(last[f"{split}_loss"]) for split in SUBSETS[:2]},
        "mean_ipr": float(neurons.mean_ipr),
        "neurons": {
            "all": width, f"ipr_below_{LOW}": n_low,
            "between": width - n_low - n_high - n_dead,
            f"ipr_above_{HIGH}": n_high, "dead": n_dead,
        },
        "pruning_by_ipr": pruning,
        "provenance": run.provenance,
    }  # fmt: skip


def table_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The summary as (what, value) lines for people."""
    accuracy, neurons = summary["accuracy"], list(summary["neurons"].values())
    training = summary["training"]
    low, high = summary["pruning_by_ipr"]["low"], summary["pruning_by_ipr"]["high"]

    def after(point: dict[str, float]) -> str:
        return f"test {point['test']:.3f}, corrupted {point['changed']:.3f}"

    return [
        ("phase", summary["phase"]),
        ("weight decay (lr x weight decay)",
         f"{training['weight_decay']:g} ({training['lr_times_weight_decay']:g} per step)"),
        ("accuracy: train, all", f"{accuracy['train']:.3f}"),
        ("accuracy: train, corrupted labels", f"{accuracy['changed']:.3f}"),
        *[("accuracy: train, redrawn labels (1/p of them true)", f"{accuracy[name]:.3f}")
          for name in ("selected",) if name in accuracy],
        ("accuracy: train, uncorrupted labels", f"{accuracy['unchanged']:.3f}"),
        ("accuracy: test", f"{accuracy['test']:.3f}"),
        ("mean IPR (1 = one frequency)", f"{summary['mean_ipr']:.3f}"),
        (f"neurons: IPR < {LOW} / between / > {HIGH} / dead",
         f"{neurons[1]} / {neurons[2]} / {neurons[3]} / {neurons[4]}"),
        (f"after removing the {low['fraction']:.0%} of lowest IPR", after(low)),
        (f"after removing the {high['fraction']:.0%} of highest IPR", after(high)),
    ]  # fmt: skip
