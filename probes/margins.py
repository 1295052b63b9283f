"""How sure a network is of a label: the label's logit, and its margin over all other logits.

All classes count, those that are not residues included, as they do in the loss.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp import HookedModel
from grokinterp.models.base import evaluated
from probes.probe import probe
from probes.scores import check_labels

_BATCH = 4096  # bounds the memory of activations


@probe
def all_logits(
    model: HookedModel, tokens: Int[Tensor, "example 2"]
) -> Float[Tensor, "example classes"]:
    """Logits of every class in evaluation mode, as float64 but computed in the network's dtype."""
    device = next(model.parameters()).device
    with torch.no_grad(), evaluated(model):
        return torch.cat([model(part.to(device)).double().cpu() for part in tokens.split(_BATCH)])


@probe
def label_logits(
    logits: Float[Tensor, "example classes"], labels: Int[Tensor, " example"]
) -> Float[Tensor, " example"]:
    """Each example's logit at its label.

    Examples:
        >>> import torch
        >>> from probes import label_logits
        >>> logits = torch.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
        >>> label_logits(logits, torch.tensor([1, 2])).tolist()
        [5.0, 3.0]
    """
    return logits.gather(1, _column(labels, logits))[:, 0]


@probe
def label_margins(
    logits: Float[Tensor, "example classes"], labels: Int[Tensor, " example"]
) -> Float[Tensor, " example"]:
    """Label logit minus the largest other logit; positive where the answer is the label.

    Examples:
        >>> import torch
        >>> from probes import label_margins
        >>> logits = torch.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
        >>> label_margins(logits, torch.tensor([1, 2])).tolist()  # the second answer is wrong
        [3.0, -1.0]
    """
    others = logits.scatter(1, _column(labels, logits), -torch.inf)
    return label_logits(logits, labels) - others.max(dim=1).values


@probe
def model_label_logits(
    model: HookedModel, tokens: Int[Tensor, "example 2"], labels: Int[Tensor, " example"]
) -> Float[Tensor, " example"]:
    """:func:`label_logits` of a network.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_label_logits
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> right = model_label_logits(model, data.tokens, data.clean_labels)
        >>> wrong = model_label_logits(model, data.tokens, (data.clean_labels + 1) % 13)
        >>> bool((right > wrong).all())
        True
    """
    return label_logits(all_logits(model, tokens), labels)


@probe
def model_label_margins(
    model: HookedModel, tokens: Int[Tensor, "example 2"], labels: Int[Tensor, " example"]
) -> Float[Tensor, " example"]:
    """:func:`label_margins` of a network.

    Examples:
        >>> import grokinterp as gi
        >>> from probes import model_label_margins
        >>> model, data = gi.closed_form_mlp(p=13, d_mlp=60), gi.make_dataset(gi.DataConfig(p=13))
        >>> bool((model_label_margins(model, data.tokens, data.clean_labels) > 0).all())
        True
    """
    return label_margins(all_logits(model, tokens), labels)


def _column(labels: Int[Tensor, " example"], logits: Float[Tensor, "example classes"]) -> Tensor:
    """The labels as ``gather`` takes them; raise unless each is a class of the logits."""
    check_labels(labels, logits.shape[1])
    return labels[:, None].to(logits.device, torch.int64)
