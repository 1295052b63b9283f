"""The logits without some neurons that are followed by a layer norm alone, from one forward pass.

What is normalised is a sum over these neurons and of a rest. A removal takes away the change of
their activations times the vectors that they write, and mean and variance are computed anew.
"""

from collections.abc import Callable, Sequence

import torch
from einops import reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokinterp.interventions.chosen import other_examples
from grokinterp.models.read_out import Bias, Neurons, Norm, Part, ReadOut
from grokinterp.models.units import Units
from probes.network_on_pairs import NetworkOnPairs

# The logits, in the network's dtype, without the units of a mask or of some indices.
Without = Callable[[Bool[Tensor, " unit"] | Int[Tensor, " some"]], Float[Tensor, "pair p"]]


def removed_at_end(network: NetworkOnPairs, units: Units, mode: str, seed: int) -> Without | None:
    """The logits of all pairs as a function of the units that are taken out.

    Args:
        network: the network, without hooks; it is run once.
        units: some of its units.
        mode: what a removed activation becomes.
        seed: of the other pairs in "resample".

    Returns:
        None for other units than neurons with a layer norm and the read-out behind them.
    """
    path = _behind_one_norm(network.anatomy.direct_path, units)
    read_out = network.anatomy.read_out
    if path is None or read_out is None:
        return None
    neurons, norm, offset = path
    assert neurons.weight is not None
    weight = neurons.weight.detach()
    _, seen = network.run_with_cache([neurons.hook, norm.before])
    post, stream = _at_last(seen[neurons.hook]), _at_last(seen[norm.before])
    change = replacement(post, mode, seed) - post

    def without(chosen: Tensor) -> Tensor:
        gone = chosen.to(change.device)
        left = stream + change[:, gone] @ weight[gone]
        return _read(left, norm, offset, read_out)[:, : network.p]

    return without


def replacement(values: Float[Tensor, "pair ..."], mode: str, seed: int) -> Tensor:
    """What activations of all pairs become when they are removed; may have one row for all."""
    match mode:
        case "zero":
            return torch.zeros_like(values[:1])
        case "mean":
            return values.mean(dim=0, keepdim=True)
    return values[other_examples(len(values), len(values), seed)]


def _at_last(values: Float[Tensor, "pair ... unit"]) -> Float[Tensor, "pair unit"]:
    return values if values.ndim == 2 else values[:, -1]


def _behind_one_norm(
    path: Sequence[Part], units: Units
) -> tuple[Neurons, Norm, Float[Tensor, " d"] | None] | None:
    """The neurons if they are these units, and the norm, with its offset, that alone is behind."""
    norm, offset = None, None
    for part in path:
        match part:
            case Norm() if norm is None:
                norm = part
            case Bias(_, bias) if norm is None:
                offset = bias.detach()  # of the norm
            case Bias():
                pass
            case Neurons(hook, weight) if norm and weight is not None and hook == units.last:
                return part, norm, offset
            case _:
                return None
    return None


def _read(
    stream: Float[Tensor, "pair d"], norm: Norm, offset: Tensor | None, read_out: ReadOut
) -> Float[Tensor, "pair classes"]:
    """The logits of a stream that goes through a layer norm and the read-out."""
    centred = stream - stream.mean(dim=1, keepdim=True)
    variance = reduce(centred.square(), "pair d -> pair 1", "mean")
    normalized = centred / (variance + norm.eps).sqrt()
    if norm.weight is not None:
        normalized = normalized * norm.weight.detach()
    return read_out.logits(normalized if offset is None else normalized + offset)
