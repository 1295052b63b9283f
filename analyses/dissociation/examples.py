"""Which wrong labels survive the removal of the periodic units, and what they have in common."""

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float
from torch import Tensor

from grokinterp import Run, ablate
from grokinterp.session import unaffected
from probes import network_on_pairs
from probes.linear_effects import first_order_changes, label_above_mean
from probes.unit_periodicity import units_of

# Numbers that may distinguish survivors, with the names that figures give them.
COVARIATES = {
    "support": "what the memorising units add to the wrong label (logits above the mean)",
    "supporters": "memorising units that add to the wrong label",
    "margin": "margin of the wrong label in the whole network (logits)",
    "operands_seen": "training pairs that share an operand",
}


@unaffected()
def compute(
    run: Run, memorising: Bool[Tensor, " unit"], *, unit: str = "neurons.0", mode: str = "zero"
) -> xr.Dataset:
    """Every changed training example that the whole network answers with its wrong label.

    Args:
        run: a trained network.
        memorising: which units stay, the least periodic ones; all others are taken out.
        unit: name of the units.
        mode: of the ablation.

    Returns:
        Dataset over "example": ``survives`` (boolean, the wrong label is still the answer), and
        the numbers of ``COVARIATES``, of the whole network. What a unit adds to a label's logit
        above the mean is its activation times the gradient there: exact where the logits are
        linear in the units, to first order elsewhere.
    """
    network, data = network_on_pairs(run.model), run.dataset
    labels = data.labels.cpu()
    with torch.no_grad():
        logits = network.run(network.pairs).double().cpu()
        generalising = ablate(~memorising, mode, unit=unit)
        left = network.run(network.pairs, generalising).double().cpu()
    known = data.is_changed.cpu() & (logits.argmax(dim=1) == labels)
    added = contributions(run, unit)[known][:, memorising]
    others = logits.scatter(1, labels[:, None].long(), -torch.inf).max(dim=1).values
    own = logits.gather(1, labels[:, None].long())[:, 0]
    seen = sum(
        torch.bincount(data.tokens[data.is_train, operand], minlength=data.p)[
            data.tokens[:, operand]
        ]
        for operand in range(2)
    )
    assert isinstance(seen, Tensor)
    values = {
        "survives": (left.argmax(dim=1) == labels)[known],
        "support": added.sum(dim=1),
        "supporters": (added > 0).sum(dim=1),
        "margin": (own - others)[known],
        "operands_seen": seen[known],
    }
    return xr.Dataset({name: ("example", value.numpy()) for name, value in values.items()})


@unaffected()
def contributions(run: Run, unit: str) -> Float[Tensor, "pair unit"]:
    """Activation times gradient of (label's logit - mean logit), for each pair and unit.

    Summed over positions and steps, and over the entries of a head's output.
    """
    network = network_on_pairs(run.model)
    named = {unit: units_of(network, unit)}
    return -first_order_changes(network, named, label_above_mean(run.dataset.labels))[unit]


def separation(data: xr.Dataset) -> dict[str, float]:
    """For each covariate, the chance that a survivor has more of it than an example that is lost.

    The area under the ROC curve (ties count half): 0.5 for no relation. NaN without both kinds.
    """
    from scipy import stats

    survives = data.survives.values
    yes, no = int(survives.sum()), int((~survives).sum())
    if not yes or not no:
        return dict.fromkeys(COVARIATES, np.nan)
    return {
        name: float(
            stats.mannwhitneyu(data[name].values[survives], data[name].values[~survives]).statistic
        )
        / (yes * no)
        for name in COVARIATES
    }
