"""How far a network is from a stationary point of its loss with an L2 penalty.

At a minimum of the data loss L(w) plus lambda / 2 |w|^2 the gradient vanishes: -grad L = lambda w.
So the data's push has the direction of the weights, and lambda times their norm. Both parts are
measured in units of lambda |w|, the pull of the penalty.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp import HookedModel
from grokinterp.checks import check_choice, check_number
from grokinterp.losses import LOSSES
from grokinterp.models.base import evaluated
from probes.probe import probe
from probes.scores import check_labels


@dataclass(frozen=True)
class Stationarity:
    """The gradients of one network on all examples; numbers without a unit but ``norm``.

    Attributes:
        distance: |grad L + lambda w| / (lambda |w|): 0 at a stationary point, 1 where the data do
            not push at all; NaN without weight decay.
        push: |grad L| / (lambda |w|): 1 at a stationary point; NaN without weight decay.
        alignment: cosine of the angle between -grad L and w: 1 at a stationary point for some
            lambda, whichever that is; NaN if either is zero.
        norm: |w|.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import parameter_norm, stationarity
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> result = stationarity(model, data.tokens, data.clean_labels, weight_decay=1e-3)
        >>> result.least_distance <= result.distance  # over all weight decays
        True
        >>> round(result.norm / parameter_norm(model), 6)
        1.0
    """

    distance: float
    push: float
    alignment: float
    norm: float

    @property
    def least_distance(self) -> float:
        """The least ``distance`` over all lambda > 0: the sine of the angle, 1 from 90 degrees.

        It is 0 only where some penalty would hold the weights as they are.
        """
        return math.sqrt(max(0.0, 1 - max(0.0, self.alignment) ** 2))


@probe
def stationarity(
    model: HookedModel,
    tokens: Int[Tensor, "example 2"],
    labels: Int[Tensor, " example"],
    *,
    weight_decay: float = 0.0,
    loss: str = "cross_entropy",
) -> Stationarity:
    """Compare the gradient of the data loss with the pull of an L2 penalty.

    The gradient is that of the mean loss over all examples, in evaluation mode, computed in the
    network's dtype and then taken as float64. Embedding rows of tokens that the task's prompt never
    uses are left out: they have no gradient, and only decay.

    Args:
        model: the network.
        tokens: the training pairs (a, b).
        labels: their classes.
        weight_decay: lambda of the penalty lambda / 2 |w|^2; 0 for none.
        loss: a name from ``grokinterp.losses.LOSSES``.

    Raises:
        ValueError: no examples, labels that are no classes, an unknown loss, a negative decay.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import stationarity
        >>> changes = {"data.p": 11, "training.steps": 300, "training.loss": "cross_entropy"}
        >>> changes |= {"training.optimizer": "adam", "training.decay": "l2"}
        >>> run = gi.train(gi.RunConfig().replace({**changes, "training.weight_decay": 0.01}))
        >>> train = run.dataset.is_train
        >>> tokens, labels = run.dataset.tokens[train], run.dataset.labels[train]
        >>> for model in (gi.build_model(run.config), run.model):  # before and after
        ...     print(stationarity(model, tokens, labels, weight_decay=0.01).distance < 0.1)
        False
        True
    """
    check_number("weight_decay", weight_decay, minimum=0.0)
    check_choice("loss", loss, LOSSES)
    if not len(tokens):
        raise ValueError("tokens has no example; give the training pairs")
    leaves = {name: w.detach().clone().requires_grad_() for name, w in model.named_parameters()}
    with torch.enable_grad(), evaluated(model):
        device = next(iter(leaves.values())).device
        # Clones, because what was made in inference mode cannot be kept for a gradient.
        pairs, classes = tokens.to(device).clone(), labels.to(device).clone()
        logits = torch.func.functional_call(model, leaves, (pairs,))
        check_labels(labels, logits.shape[1])
        mean = LOSSES[loss].per_example(logits, classes).mean()
        found = torch.autograd.grad(mean, [*leaves.values()], materialize_grads=True)
    gradient = _flat(dict(zip(leaves, found, strict=True)), model)
    weights = _flat(leaves, model)
    norm, size = float(weights.norm()), float(gradient.norm())
    pull = weight_decay * norm
    return Stationarity(
        distance=_ratio(float((gradient + weight_decay * weights).norm()), pull),
        push=_ratio(size, pull),
        alignment=_ratio(-float(gradient @ weights), size * norm),
        norm=norm,
    )


def _flat(values: Mapping[str, Tensor], model: HookedModel) -> Float[Tensor, " weight"]:
    """The used rows of all parameters, one after the other."""
    rows = model.used_rows
    kept = [value.detach()[: rows.get(name)] for name, value in values.items()]
    return torch.cat([value.double().flatten() for value in kept]).cpu()


def _ratio(value: float, by: float) -> float:
    return value / by if by > 0 else math.nan
