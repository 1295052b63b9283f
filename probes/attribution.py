"""Direct logit attribution: what each neuron writes to the logit of a label."""

from jaxtyping import Float, Int
from torch import Tensor


def neuron_attribution(
    post: Float[Tensor, "example neuron"],
    W_U: Float[Tensor, "neuron p"],
    labels: Int[Tensor, " example"],
) -> Float[Tensor, " neuron"]:
    """Each neuron's contribution to the label's logit above the mean logit, mean over examples.

    The logits are a sum over neurons of ``post`` times a row of ``W_U``, so attributions over all
    neurons add up to the mean of (label logit - mean logit). Logit units, float64.
    """
    centred = (W_U - W_U.mean(dim=1, keepdim=True)).double()
    return (post.double() * centred[:, labels].T).mean(dim=0)
