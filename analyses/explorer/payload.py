"""What the explorer shows of a run: its task, its networks over training, scores of their units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from analyses.explorer.layers import plain_weights
from analyses.explorer.sizes import parts
from analyses.one_run.ipr_histogram import IPR_MEMORISES_BELOW
from analyses.one_run.stored_networks import StoredNetwork, stored_networks
from grokinterp import MLPConfig, Run
from grokinterp.basis import has_basis, task_basis
from grokinterp.data import DataConfig, Dataset
from grokinterp.models.mlp import HookedMLP
from grokinterp.session import unaffected
from grokinterp.short_text import short_repr
from probes import direct_effects, ipr, power_shares
from probes.alive import ALIVE, only_living
from probes.neuron_weights import neuron_weights

# Subsets that make up all pairs, in words; their places are the codes in the page.
DISJOINT = {"test": "test", "changed": "corrupted", "unchanged": "uncorrupted"}
_CURVE_POINTS = 600  # steps of the history that are drawn, at most


class Score(NamedTuple):
    """A number for each unit, in words."""

    key: str
    label: str
    about: str


def scores_of(model: HookedMLP) -> list[Score]:
    """The scores that a network's units have, in the order of :func:`unit_scores`."""
    deep, vectors = len(model.layers) > 1, "input and output weights"
    ipr, which = "inverse participation ratio of its {}: 1 if they have one frequency", "IPR"
    if deep:
        vectors, which = "output weights", "output IPR"
    return [
        Score("periodicity", which, ipr.format(vectors)),
        Score("norm", "norm", f"L2 norm of its {vectors}"),
        Score("frequency", "frequency", f"strongest in its {vectors}, cycles per period"),
        *(
            Score(
                f"writes_{subset}",
                f"writes to {words} labels",
                f"what it adds to the label's logit above the mean logit, mean over {words} pairs",
            )
            for subset, words in DISJOINT.items()
        ),
    ]


@short_repr
@dataclass(frozen=True)
class Payload:
    """A run as the page needs it."""

    about: dict[str, Any]  # plain data, for JSON
    arrays: dict[str, np.ndarray]
    over_steps: dict[str, np.ndarray]  # the weights of earlier networks, [step, ...]


@unaffected()
def gather(run: Run, *, name: str) -> Payload:
    """Everything that the page shows.

    Args:
        run: a run of an MLP on one-hot pairs, without layer norms.
        name: of the run, for the heading.

    Raises:
        ValueError: another architecture, a network too large, or no network at all is stored.
    """
    config, p = run.config.model, run.config.data.p
    if not isinstance(config, MLPConfig):
        raise ValueError(
            f"the explorer runs MLPs on one-hot pairs (gi.MLPConfig), {name} has {config}; "
            "grokinterp analyse --list names what there is for any network"
        )
    networks = list(stored_networks(run))
    if not networks:
        raise ValueError(f"{name} {run.ending}, so there is no network to explore")
    chosen = parts(
        weights=sum(weight.size for weight in plain_weights(networks[-1].model).values()),
        steps=[stored.step for stored in networks],
        products=p**2 * config.d_mlp * (p + (config.n_layers - 1) * config.d_mlp),
        logits=p**3,
    )
    networks = [networks[place] for place in chosen.networks]
    weights = [plain_weights(stored.model) for stored in networks]
    data, order = run.dataset, periodic_order(run.config.data)
    arrays = {
        "labels": data.labels.numpy().astype(np.uint16),
        "clean_labels": data.clean_labels.numpy().astype(np.uint16),
        "subsets": subset_codes(data),
        "scores": np.stack([unit_scores(stored.model, data, order) for stored in networks]),
        **weights[-1],
    }
    over_steps = {
        f"earlier_{key}": np.stack([earlier[key] for earlier in weights[:-1]])
        for key in (weights[-1] if weights[:-1] else ())
    }
    about = _about(run, name, networks) | {
        "order": order.tolist(),
        "runs": chosen.runs,
        "notes": chosen.notes,
    }
    return Payload(about, arrays, over_steps)


def periodic_order(task: DataConfig) -> Tensor:
    """Residues in the order in which a task is periodic (``probes.task_basis``), if it is known."""
    known = has_basis(task.operation, task.p)
    return task_basis(task.operation, task.p).order if known else torch.arange(task.p)


@unaffected()
def unit_scores(model: HookedMLP, data: Dataset, order: Tensor) -> np.ndarray:
    """:func:`scores_of` the last layer's neurons: float32 [score, unit], NaN for a dead neuron's.

    Periodicity, norm and effects are those of ``probes.unit_periodicity``, ``model_neuron_norms``
    and ``direct_effects``. ``order`` is that of the residues.
    """
    last = len(model.layers) - 1
    vectors = model.W_U.detach()[None] if last else torch.stack(tuple(neuron_weights(model)))
    living = only_living(vectors.double()[..., order], ALIVE)
    shares = power_shares(living).mean(dim=0)
    frequency = shares.nan_to_num(0.0).argmax(dim=-1).double()
    effects = direct_effects(model, data, f"neurons.{last}")
    values = [
        ipr(living).mean(dim=0),
        vectors.double().square().sum(dim=(0, 2)).sqrt(),
        frequency.masked_fill(shares.isnan().any(dim=-1), float("nan")),
        *(effects[subset] for subset in DISJOINT),
    ]
    return torch.stack([value.double() for value in values]).float().numpy()


def subset_codes(data: Dataset) -> np.ndarray:
    """For each pair the place of its subset in ``DISJOINT``; uint8."""
    codes = np.zeros(len(data.labels), dtype=np.uint8)
    for code, subset in enumerate(DISJOINT):
        codes[data.masks[subset].numpy()] = code
    return codes


def _about(run: Run, name: str, networks: Sequence[StoredNetwork]) -> dict[str, Any]:
    data, config = run.config.data, run.config.model
    history = run.history
    keep = np.unique(
        np.linspace(0, max(0, history.sizes["step"] - 1), _CURVE_POINTS).round().astype(int)
    )
    curves = history.isel(step=keep) if history.sizes["step"] else history
    return {
        "name": name,
        "operation": getattr(data.operation, "name", data.operation),
        "p": data.p,
        "width": config.d_mlp,
        "layers": config.n_layers,
        "act": config.act,
        "network": run.model.description,
        "train_fraction": data.train_fraction,
        "corruption": data.corruption,
        "ending": run.ending,
        "steps": [stored.step for stored in networks],
        "scores": [score._asdict() for score in scores_of(run.model)],
        "threshold": IPR_MEMORISES_BELOW,
        "history": {
            "step": curves.step.values.tolist(),
            "accuracy": {
                subset: _plain(curves[f"{subset}_accuracy"].values) for subset in DISJOINT
            },
        },
    }


def _plain(values: np.ndarray) -> list[float | None]:
    """Numbers for JSON, which has no NaN."""
    return [round(float(v), 5) if np.isfinite(v) else None for v in values]
