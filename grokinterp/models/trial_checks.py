"""What a wrapped network must show in a trial before its parts are believed."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grokinterp.models.base import HookedModel
from grokinterp.models.hooked_module import HookedModule
from grokinterp.models.trials import same
from grokinterp.short_text import short


def check_network(net: object) -> None:
    """Raise for a network whose answers would not be those of its weights."""
    if isinstance(net, HookedModel) and not isinstance(net, HookedModule):
        raise TypeError(
            f"net is a {type(net).__name__}, which probes read as it is; leave gi.wrap out"
        )
    if not isinstance(net, nn.Module):
        raise TypeError(f"net must be a torch.nn.Module, got {type(net).__name__}")
    for name, module in net.named_modules():
        if module.training and isinstance(module, nn.modules.dropout._DropoutNd):
            raise ValueError(
                f"net is in training mode and drops activations at {name!r}, so its answers "
                "are random; call net.eval() first"
            )
    for name, weight in net.named_parameters():
        if weight.is_meta:
            raise ValueError(
                f"net has {name} on the device 'meta', which holds no numbers; load its "
                "weights first"
            )


def check_answers(model: Any, pairs: Tensor, logits: Tensor) -> None:
    """Raise unless the logits of a pair are the same each time, and whatever stands beside it.

    Args:
        model: a wrapped network.
        pairs: some pairs.
        logits: its logits of them.
    """
    what = type(model.net).__name__
    if not same(model(pairs), logits):
        raise ValueError(
            f"{what} answers the same pairs differently each time, so it draws random numbers in "
            "its forward pass; make it stop in evaluation mode, as in F.dropout(x, training=False)"
        )
    if not same(model(pairs[:1]), logits[:1]):
        raise ValueError(
            f"{what} answers a pair differently when it stands alone, so a pair's logits depend on "
            "the batch; let the batch be the first axis (batch_first=True) and take statistics "
            "from running averages"
        )


def check_neurons(model: Any, pairs: Tensor, logits: Tensor, cache: Mapping[str, Tensor]) -> None:
    """Raise unless the neurons' activations are a pair's own, in order, and reach the logits.

    Args:
        model: a wrapped network with ``neuron_hooks``.
        pairs: some pairs.
        logits: its logits of them.
        cache: its activations on them.
    """
    hooks = [hooks[-1] for hooks in model.neuron_hooks]
    places = [list(model.hook_dict).index(hook) for hook in hooks]
    if any(later <= one for one, later in pairwise(places)):
        raise ValueError(
            f"neurons={short(hooks)} must name each layer once, in the order of the forward pass, "
            f"which is {short(sorted(set(hooks), key=list(model.hook_dict).index))}"
        )
    for hook in hooks:
        shape = list(cache[hook].shape)
        if len(shape) < 2 or shape[0] != len(pairs):
            raise ValueError(
                f"neurons={hook!r} are {shape} for {len(pairs)} pairs; the batch must be their "
                "first axis and the neurons another (batch_first=True)"
            )
        silent = model.run_with_hooks(pairs, fwd_hooks=[(hook, _silence)])
        if same(silent, logits) and not _reaches_logits(model, pairs, hook):
            raise ValueError(
                f"neurons={hook!r} are not what the network goes on with: no logit depends on "
                "them. Of an output with several tensors the first counts: let the network use "
                "it, as in output[:, -1] of an nn.LSTM, or name the submodule that is used"
            )


def check_rows(model: Any, reads: Mapping[str, Tensor], cache: Mapping[str, Tensor]) -> None:
    """Raise unless the first maps put out their weights' rows, without anything done to them.

    Args:
        model: a wrapped network.
        reads: what each first map read last.
        cache: its activations.
    """
    for name, read in reads.items():
        module = model.net.get_submodule(name)
        own = f"{name}.hook_out"
        hook = own if own in cache else "hook_embed"
        if isinstance(module, nn.Embedding):
            expected = F.embedding(read, module.weight)
        else:
            expected = F.linear(read, module.weight, module.bias)
        if not same(cache[hook], expected):
            raise ValueError(
                f"first={name!r} is a {type(module).__name__} that puts out something else than "
                "its weight's rows, so they are not what the network reads; name a parameter, or "
                "wrap a network whose weight holds what is put out"
            )


def check_layers(model: Any, cache: Mapping[str, Tensor], *, is_sum: bool, is_direct: bool) -> None:
    """Raise if a network would be taken for one with a single hidden layer and is not.

    Args:
        model: a wrapped network.
        cache: its activations.
        is_sum: whether its first neurons see a sum of rows.
        is_direct: whether the read-out reads its last neurons.
    """
    if len(model.neuron_hooks) != 1 or len(model.input_tables) != 2 or model.read_out is None:
        return
    hook, width = model.neuron_hooks[0][0], model.read_out.W_U.shape[0]
    if any(table.shape[1] != width for table in model.input_tables.values()):
        return
    if cache[hook].shape[-1] != width or (is_sum and is_direct):
        return
    what = (
        "what the read-out reads is something else"
        if is_sum
        else "they are not, one by one, functions of the sum of a's and b's rows of first"
    )
    raise ValueError(
        f"neurons={hook!r} do not lie between first and readout alone: {what}. Name the "
        "neurons of every hidden layer, in order, as in neurons=('1', '3')"
    )


def _silence(activation: Tensor, hook: HookPoint) -> Tensor:
    return torch.zeros_like(activation)


def _reaches_logits(model: Any, pairs: Tensor, hook: str) -> bool:
    """Whether logits have a gradient there; dead neurons and a read-out of zeros have one, too."""
    kept: list[Tensor] = []

    def keep(activation: Tensor, hook: HookPoint) -> Tensor:
        kept.append(activation.detach().requires_grad_())
        return kept[-1]

    with torch.enable_grad():
        total = model.run_with_hooks(pairs, fwd_hooks=[(hook, keep)]).sum()
        if not total.requires_grad:
            return False
        gradients = torch.autograd.grad(total, kept, allow_unused=True)
    return any(gradient is not None for gradient in gradients)
