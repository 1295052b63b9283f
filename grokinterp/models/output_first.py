"""The tensors of Nanda et al. 2023 and Zhong et al. 2023, whose matrices have the output first."""

import errno
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from grokinterp.models.base import check_state

# What torch.load raises on files that are something else.
_DAMAGED = (pickle.UnpicklingError, EOFError, RuntimeError)
UNREADABLE = (*_DAMAGED, AttributeError, KeyError, TypeError, ValueError)


def read_tensors_only(path: Path, *, in_place: bool = False) -> Any:
    """What ``torch.save`` wrote: tensors, numbers and texts in lists and dicts, and nothing else.

    No code in the file runs.

    Args:
        path: the file.
        in_place: leave the tensors in the file until they are used, where its format allows it.

    Raises:
        One of ``UNREADABLE``: the file is something else, or holds more.
    """
    mmap = in_place and zipfile.is_zipfile(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise EOFError("the file is cut off") from error  # torch.load seeks in front of its start


def check_weights(file: str, tensors: Mapping[Any, object]) -> None:
    """Raise a ValueError unless all are tensors of floats, with all their numbers in the file."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ValueError(f"{file} must hold weights, but {name} is {got}")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            # A few bytes can claim any size; a network of that size would be allocated.
            raise ValueError(f"{file} does not hold all numbers of {name} {list(tensor.shape)}")


def check_shapes(
    file: str, tensors: dict[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise a ValueError unless there are just the tensors of these shapes; it names each other."""
    expected = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    check_state(f"checkpoint, {file}", expected, tensors)


def sizes(file: str, tensors: Mapping[str, Tensor], name: str, axes: int) -> tuple[int, ...]:
    """The shape of a tensor from which the shapes of others follow."""
    if name not in tensors or tensors[name].ndim != axes:
        got = list(tensors[name].shape) if name in tensors else "nothing"
        raise ValueError(f"{file} must have {name} with {axes} axes, got {got}")
    return tuple(tensors[name].shape)


def transformer_shapes(
    *, n_layers: int, n_ctx: int, d_vocab: int, d_model: int, d_mlp: int, heads: int, d_head: int
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in their transformers' checkpoints."""
    shapes: dict[str, tuple[int, ...]] = {"pos_embed.W_pos": (n_ctx, d_model)}
    shapes |= {"embed.W_E": (d_model, d_vocab), "unembed.W_U": (d_model, d_vocab)}
    for i in range(n_layers):
        shapes |= {f"blocks.{i}.attn.W_{x}": (heads, d_head, d_model) for x in "QKV"}
        shapes[f"blocks.{i}.attn.W_O"] = (d_model, heads * d_head)
        shapes |= {f"blocks.{i}.mlp.W_in": (d_mlp, d_model), f"blocks.{i}.mlp.b_in": (d_mlp,)}
        shapes |= {f"blocks.{i}.mlp.W_out": (d_model, d_mlp), f"blocks.{i}.mlp.b_out": (d_model,)}
    return shapes


def input_first(tensors: Mapping[str, Tensor], heads: int) -> dict[str, Tensor]:
    """The ``state_dict`` of our transformer from that of theirs; views of the same numbers."""
    state: dict[str, Tensor] = {}
    for name, weight in tensors.items():
        is_same = name in ("pos_embed.W_pos", "unembed.W_U") or weight.ndim == 1
        state[name] = weight if is_same else weight.mT
        if name.endswith("attn.W_O"):
            state[name] = rearrange(weight, "d (head d_head) -> head d_head d", head=heads)
    return state
