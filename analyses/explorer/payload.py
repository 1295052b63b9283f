"""What the explorer shows of a run: its task, its networks over training, scores of their units."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from analyses.explorer.sizes import parts
from analyses.one_run.ipr_histogram import IPR_MEMORISES_BELOW
from analyses.one_run.stored_networks import StoredNetwork, stored_networks
from grokinterp import MLPConfig, Run
from grokinterp.data import Dataset
from grokinterp.models.mlp import HookedMLP
from probes import direct_effects, model_neuron_ipr, model_neuron_norms, power_shares
from probes.neuron_weights import neuron_weights

# Subsets that make up all pairs; their places are the codes in the page.
DISJOINT = ("test", "changed", "unchanged")
_CURVE_POINTS = 600  # steps of the history that are drawn, at most


class Score(NamedTuple):
    """A number for each unit, in words."""

    key: str
    label: str
    about: str


SCORES = (
    Score("ipr", "IPR", "inverse participation ratio: 1 if the weights have one frequency"),
    Score("norm", "norm", "L2 norm of a unit's input and output weights"),
    Score("frequency", "frequency", "strongest frequency of the weights, in cycles per p residues"),
    *(
        Score(
            f"writes_{subset}",
            f"writes to {subset} labels",
            f"what a unit adds to the label's logit above the mean logit, mean over {subset} pairs",
        )
        for subset in DISJOINT
    ),
)


class Payload(NamedTuple):
    """A run as the page needs it."""

    about: dict[str, Any]  # plain data, for JSON
    arrays: dict[str, np.ndarray]
    over_steps: dict[str, np.ndarray]  # the weights of earlier networks, [step, ...]


def gather(run: Run, *, name: str) -> Payload:
    """Everything that the page shows.

    Args:
        run: a run of an MLP with one hidden layer and no norm.
        name: of the run, for the heading.

    Raises:
        ValueError: another architecture, a network too large, or no network at all is stored.
    """
    config = run.config.model
    if not isinstance(config, MLPConfig) or config.norm is not None or config.n_layers != 1:
        raise ValueError(
            f"the explorer runs MLPs with one hidden layer and no norm, {name} has {config}; "
            f"grokinterp analyse {name} --list names what works for any network"
        )
    networks = list(stored_networks(run))
    if not networks:
        raise ValueError(f"{name} {run.ending}, so there is no network to explore")
    p, width = run.config.data.p, config.d_mlp
    chosen = parts(
        weights=3 * p * width,
        steps=[stored.step for stored in networks],
        products=width * p**3,
        logits=p**3,
    )
    networks = [networks[place] for place in chosen.networks]
    last, data = networks[-1], run.dataset
    scores = [unit_scores(stored.model, data) for stored in networks]
    arrays = {
        "labels": data.labels.numpy().astype(np.uint16),
        "clean_labels": data.clean_labels.numpy().astype(np.uint16),
        "subsets": subset_codes(data),
        "scores": np.stack(scores),
        **_weights(last),
    }
    earlier = [_weights(stored) for stored in networks[:-1]]
    over_steps = {
        f"earlier_{key}": np.stack([weights[key] for weights in earlier])
        for key in (arrays.keys() & {"W_E", "W_U"} if earlier else ())
    }
    about = _about(run, name, networks) | {"notes": chosen.notes}
    return Payload(about, arrays, over_steps)


def unit_scores(model: HookedMLP, data: Dataset) -> np.ndarray:
    """``SCORES`` of each neuron: float32 [score, unit], NaN for a dead neuron's IPR."""
    weights = torch.stack(tuple(neuron_weights(model)))
    shares = power_shares(weights).mean(dim=0)
    frequency = shares.nan_to_num(0.0).argmax(dim=-1).double()
    effects = direct_effects(model, data)
    values: list[Tensor] = [
        model_neuron_ipr(model).ipr,
        model_neuron_norms(model),
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


def _weights(stored: StoredNetwork) -> dict[str, np.ndarray]:
    model = stored.model
    return {name: getattr(model, name).detach().float().cpu().numpy() for name in ("W_E", "W_U")}


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
        "act": config.act,
        "network": run.model.description,
        "train_fraction": data.train_fraction,
        "corruption": data.corruption,
        "ending": run.ending,
        "steps": [stored.step for stored in networks],
        "scores": [score._asdict() for score in SCORES],
        "subsets": list(DISJOINT),
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
