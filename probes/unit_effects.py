"""What each unit does: how the scores change when it alone is removed, and what it writes.

The linear estimate of the first, for all units at once, is in :mod:`probes.linear_effects`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from grokinterp.checks import check_choice
from grokinterp.data import Dataset
from grokinterp.losses import LOSSES
from grokinterp.models.units import FREQUENCIES
from grokinterp.short_text import short_repr
from probes.attribution import logit_attribution, neuron_attribution
from probes.direct_output import DirectOutput, as_built, direct_output
from probes.network_on_pairs import NetworkOnPairs, network_on_pairs
from probes.probe import probe
from probes.removed_at_end import replacement
from probes.scores import scores_by_subset
from probes.unit_periodicity import units_of
from probes.unit_pruning import Removals


@short_repr
@dataclass(frozen=True, eq=False)
class UnitEffects:
    """How loss and accuracy change when a unit alone is removed, by subset.

    Subsets as in ``grokinterp.data.SUBSETS``, such as ``effects.loss["test"]``. A unit whose
    removal does harm has a positive change of the loss and a negative one of the accuracy. NaN for
    an empty subset; a dead unit changes nothing.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import exact_effects
        >>> data = gi.make_dataset(gi.DataConfig(p=13))
        >>> effects = exact_effects(gi.closed_form_mlp(p=13, d_mlp=60), data)
        >>> effects.unit, list(effects.loss), effects.loss["test"].shape
        ('neurons.0', ['train', 'test', 'changed', 'unchanged', 'selected'], torch.Size([60]))
    """

    unit: str  # name of the units, such as "neurons.0"
    loss: Mapping[str, Float[Tensor, " unit"]]  # float64, in the loss's unit
    accuracy: Mapping[str, Float[Tensor, " unit"]]  # in shares of the subset, -1..1


@probe
def exact_effects(
    model: Any,
    dataset: Dataset,
    unit: str = "neurons.0",
    *,
    mode: str = "zero",
    loss: str = "mse",
    seed: int = 0,
) -> UnitEffects:
    """Remove each unit alone, and compare the scores with those of the whole network.

    One forward pass for each unit and one for the whole network, from which means or samples are
    taken, too. For the neurons of the last layer, behind which there is nothing but a layer norm
    and the read-out, one or two passes whatever their number: each removal takes away the product
    of a unit's activations and its output vector.

    Args:
        model: any network that lists its units.
        dataset: all pairs, with the labels given in training.
        unit: a name that ``model.list_units()`` lists.
        mode: what a removed activation becomes, as for ``gi.ablate``: "zero", its "mean" over all
            pairs, or that of another pair ("resample"). Both are taken from the intact network.
        loss: one of ``grokinterp.losses``.
        seed: of the other pairs in "resample".

    Raises:
        ValueError: the network lacks these units; a dataset of another modulus.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import exact_effects, subset_scores
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> change = exact_effects(model, data).loss["test"]  # without each neuron alone
        >>> loss = subset_scores(model, data)["test"]["loss"]
        >>> with model.hooks(fwd_hooks=gi.ablate([7])):
        ...     without = subset_scores(model, data)["test"]["loss"]
        >>> round((without - loss) / change[7].item(), 2)
        1.0
    """
    check_choice("loss", loss, LOSSES)
    network = network_on_pairs(model)
    check_same_p(network, dataset)
    removals = Removals(network, unit, mode, seed)
    whole = removals.whole()
    before = scores_by_subset(whole, dataset, kind=loss)
    output = direct_output(network, removals.units)
    if output is not None and output.is_exact and as_built(network):
        alone = _without_each(network, output, whole, mode, seed)
    else:
        alone = map(removals.logits, torch.arange(removals.units.count).split(1))
    scores = [scores_by_subset(logits, dataset, kind=loss) - before for logits in alone]
    accuracy, losses = torch.stack(scores, dim=2)
    return UnitEffects(
        unit,
        loss=dict(zip(dataset.masks, losses, strict=True)),
        accuracy=dict(zip(dataset.masks, accuracy, strict=True)),
    )


@probe
def direct_effects(
    model: Any, dataset: Dataset, unit: str = "neurons.0"
) -> Mapping[str, Float[Tensor, " unit"]]:
    """What each unit itself writes to the label's logit above the mean logit, mean over a subset.

    What it does by way of later layers is not counted. Behind a norm, whose scale is frozen, a
    unit's contribution is not what its removal would take away. See
    :func:`probes.logit_attribution`, which gives the same for each example.

    Args:
        model: a network to whose logits the units write: heads and neurons of a transformer with
            ``p``, neurons of an MLP's last layer, hidden units of an LSTM's last layer (at the
            last step).
        dataset: all pairs, with the labels given in training.
        unit: a name that ``model.list_units()`` lists.

    Returns:
        By subset, logits in float64; NaN for an empty subset.

    Raises:
        ValueError: the network lacks these units; they write to the logits only by way of others;
            a dataset of another modulus.
        TypeError: the network has no sum of parts that write to the logits.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import direct_effects, model_neuron_ipr
        >>> changes = {"data.p": 17, "data.train_fraction": 0.8, "data.corruption": 0.1}
        >>> changes |= {"model.d_mlp": 100, "training.steps": 200, "training.weight_decay": 5.0}
        >>> run = gi.train(gi.RunConfig().replace(changes))  # it memorises and generalises
        >>> effects = direct_effects(run.model, run.dataset)
        >>> low = gi.lowest(model_neuron_ipr(run.model).ipr, 0.4)  # the least periodic neurons
        >>> bool(effects["changed"][low].mean() > 2 * effects["test"][low].mean())
        True
    """
    network = network_on_pairs(model)
    check_same_p(network, dataset)
    units, output = units_of(network, unit), direct_output(network, units_of(network, unit))
    if output is not None and (output.is_exact or not network.anatomy.direct_path):
        post = network.activations(output.hook)
        return {
            name: neuron_attribution(post[mask], output.W, dataset.labels[mask])
            for name, mask in dataset.masks.items()
        }
    hook = units.last if output is None else output.hook
    parts = {}
    # Frequencies make up the embedding: what that writes is no number of each of them.
    has_parts = network.anatomy.direct_path or not _some_write(network)
    if has_parts and units.name != FREQUENCIES:
        parts = logit_attribution(network.model, dataset.tokens, dataset.labels).parts
    if hook not in parts:
        raise ValueError(
            f"unit={unit!r} of {type(network.model).__name__} write to the logits only by way of "
            "later units; use probes.exact_effects or probes.linear_effects, or "
            "probes.path_patching to one of these"
        )
    return {name: parts[hook][mask].mean(dim=0) for name, mask in dataset.masks.items()}


def _some_write(network: NetworkOnPairs) -> bool:
    """Whether any units of the network write to the logits."""
    return any(direct_output(network, units) is not None for units in network.units.values())


def check_same_p(network: NetworkOnPairs, dataset: Dataset) -> None:
    """Raise unless network and dataset have the same modulus."""
    if network.p != dataset.p:
        raise ValueError(
            f"the model has p={network.p} but the dataset p={dataset.p}; they must agree"
        )


def _without_each(
    network: NetworkOnPairs, output: DirectOutput, whole: Tensor, mode: str, seed: int
) -> Iterator[Float[Tensor, "pair p"]]:
    """The logits without each unit, of a network whose logits are a sum over them."""
    post = network.activations(output.hook)
    change = replacement(post, mode, seed) - post
    for of_unit, W in zip(change.T, output.W, strict=True):
        yield torch.addr(whole, of_unit, W)
