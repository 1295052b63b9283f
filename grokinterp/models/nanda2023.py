"""Networks of Nanda et al. 2023, "Progress measures for grokking", arXiv:2301.05217."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokinterp.checks import check_int
from grokinterp.models.output_first import (
    UNREADABLE,
    check_shapes,
    check_weights,
    input_first,
    read_tensors_only,
    sizes,
    transformer_shapes,
)
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.session import unaffected
from grokinterp.short_text import short, short_repr
from grokinterp.tasks import Operation, resolve_operation

_PROMPT = "a b ="
_LISTS = ("epochs", "train_losses", "test_losses")
_MASK = re.compile(r"blocks\.\d+\.attn\.mask")


@short_repr
@dataclass(frozen=True, eq=False)
class SnapshotsOfTraining:
    """A stored training of theirs: its losses, and the network at some epochs.

    Weights stay in the file until a network is asked for, so keep the file where it is.

    For example, the accuracy of every tenth snapshot on the pairs that the network was not trained
    on, for their split with seed 0::

        data = gi.make_dataset(gi.RunConfig.nanda2023(p=113, seed=0).data)
        for epoch, model in snapshots.models(every=10):
            hits = model(data.tokens).argmax(dim=1) == data.labels
            print(epoch, hits[data.is_test].double().mean().item())

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> shapes = {"embed.W_E": (8, 14), "pos_embed.W_pos": (3, 8), "unembed.W_U": (8, 14)}
        >>> shapes |= {f"blocks.0.attn.W_{name}": (2, 4, 8) for name in "KQV"}
        >>> shapes |= {"blocks.0.attn.W_O": (8, 8), "blocks.0.mlp.W_in": (32, 8)}
        >>> shapes |= {"blocks.0.mlp.b_in": (32,), "blocks.0.mlp.W_out": (8, 32)}
        >>> shapes |= {"blocks.0.mlp.b_out": (8,)}
        >>> state = {name: torch.rand(shape) for name, shape in shapes.items()}
        >>> losses = {"train_losses": [2.6, 0.1], "test_losses": [2.6, 3.0]}
        >>> torch.save({"state_dicts": [state, state], "epochs": [0, 100], **losses}, "theirs.pth")
        >>> snapshots = gi.load_nanda2023("theirs.pth")
        >>> len(snapshots), snapshots.at(100).template
        (2, 'a b =')
        >>> [epoch for epoch, model in snapshots.models()]
        [0, 100]
    """

    epochs: Int[Tensor, " snapshot"]  # after which the networks were stored
    train_losses: Float[Tensor, " train"]  # as stored: often one per epoch, not per snapshot
    test_losses: Float[Tensor, " test"]
    _states: Sequence[dict[str, Tensor]]
    _config: TransformerConfig
    _p: int
    _operation: Operation

    def __len__(self) -> int:
        """The number of snapshots."""
        return len(self.epochs)

    def at(self, epoch: int) -> HookedTransformer:
        """The network after an epoch, in evaluation mode.

        Raises:
            ValueError: no network was stored then; the message names the nearest epochs.
        """
        check_int("epoch", epoch, minimum=0)
        distances = (self.epochs - epoch).abs()
        if int(distances.min()) > 0:
            near = self.epochs[distances.argsort()[:2]].sort().values.tolist()
            raise ValueError(
                f"no network was stored after epoch={epoch}; the nearest are {near}, all are in "
                ".epochs"
            )
        return self._network(int(distances.argmin()))

    def models(self, *, every: int = 1) -> Iterator[tuple[int, HookedTransformer]]:
        """Each snapshot's epoch and network, in the order of the file.

        Args:
            every: 1 for all snapshots, n for the first and each n-th after it.
        """
        check_int("every", every, minimum=1)
        for index in range(0, len(self), every):
            yield int(self.epochs[index]), self._network(index)

    @property
    def final(self) -> HookedTransformer:
        """The last snapshot's network."""
        return self._network(len(self) - 1)

    def _network(self, index: int) -> HookedTransformer:
        return _build(self._states[index], self._config, self._p, self._operation)


@unaffected()
def load_nanda2023(
    path: str | Path, *, operation: Operation = "addition", act_fn: str = "relu"
) -> HookedTransformer | SnapshotsOfTraining:
    """A network, or a whole training, stored by their code.

    The file may hold the ``state_dict`` of their ``Transformer``; the dictionary that their trainer
    saves, with that ``state_dict`` as "model"; or a full run as ARENA's tutorials read it, with
    "state_dicts", "epochs", "train_losses" and "test_losses". Everything else in it is ignored.
    Reading it never runs code in it.

    Args:
        path: a file of ``torch.save``.
        operation: the task; the file does not say it.
        act_fn: the activation function, "relu" or "gelu"; the file does not say it.

    Returns:
        For one ``state_dict`` the network, in evaluation mode: it reads "a b =" and has p + 1
        classes, all tokens. For a full run its snapshots.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds other things than tensors, numbers and texts; another kind of network;
            or missing, extra or misshapen tensors, each of which is named.

    Examples:
        >>> import grokinterp as gi
        >>> import torch
        >>> shapes = {"embed.W_E": (8, 14), "pos_embed.W_pos": (3, 8), "unembed.W_U": (8, 14)}
        >>> shapes |= {f"blocks.0.attn.W_{name}": (2, 4, 8) for name in "KQV"}
        >>> shapes |= {"blocks.0.attn.W_O": (8, 8), "blocks.0.mlp.W_in": (32, 8)}
        >>> shapes |= {"blocks.0.mlp.b_in": (32,), "blocks.0.mlp.W_out": (8, 32)}
        >>> shapes |= {"blocks.0.mlp.b_out": (8,)}
        >>> torch.save({name: torch.rand(shape) for name, shape in shapes.items()}, "theirs.pth")
        >>> model = gi.load_nanda2023("theirs.pth")
        >>> model.p, model.template, model.operation
        (13, 'a b =', 'addition')
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r} is not a file")
    try:
        content = read_tensors_only(path, in_place=True)
    except UNREADABLE as error:
        raise ValueError(
            f"{path} does not hold only tensors, numbers and texts, so it was not read: {error}. "
            "If you trust its origin, load it with torch.load(weights_only=False) and save the "
            "state_dicts again"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} must hold a dict, got {short(content)}")
    if "state_dicts" in content:
        return _full_run(path.name, content, operation, act_fn)
    state = _state(path.name, content.get("model", content))
    config, p = _described(path.name, state, act_fn)
    return _build(state, config, p, resolve_operation("operation", operation, p))


def _full_run(
    file: str, content: dict[Any, Any], operation: Operation, act_fn: str
) -> SnapshotsOfTraining:
    for name in ("state_dicts", *_LISTS):
        if not isinstance(content.get(name), Sequence | Tensor) or isinstance(content[name], str):
            raise ValueError(f"{file} must have a list {name!r}, got {short(content.get(name))}")
    epochs, train, test = (_numbers(file, name, content[name]) for name in _LISTS)
    stored = content["state_dicts"]
    if not len(stored) or len(stored) != len(epochs) or not bool((epochs == epochs.long()).all()):
        raise ValueError(
            f"{file} must have a whole number in 'epochs' for each of its state_dicts, got "
            f"{len(epochs)} numbers and {len(stored)} state_dicts"
        )
    states = [_state(f"{file}, state_dicts[{i}]", state) for i, state in enumerate(stored)]
    config, p = _described(f"{file}, state_dicts[0]", states[0], act_fn)
    shapes = {name: tuple(weight.shape) for name, weight in states[0].items()}
    for i, state in enumerate(states):
        check_shapes(f"{file}, state_dicts[{i}]", state, shapes)
    plain = resolve_operation("operation", operation, p)
    return SnapshotsOfTraining(epochs.long(), train, test, states, config, p, plain)


def _numbers(file: str, name: str, values: Any) -> Float[Tensor, " value"]:
    """A list of numbers, of tensors of one number each, or a tensor, in float64."""
    try:
        numbers = torch.tensor([float(value) for value in values], dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name!r} in {file} must be a list of numbers: {error}") from error
    return numbers


def _state(file: str, state: Any) -> dict[str, Tensor]:
    """The weights of a ``state_dict``, once its masks are known to be causal."""
    if not isinstance(state, Mapping):
        raise ValueError(f"{file} must hold a state_dict, got {short(state)}")
    masks = {name: mask for name, mask in state.items() if _MASK.fullmatch(str(name))}
    for name, mask in masks.items():
        seen = mask.tolist() if isinstance(mask, Tensor) and mask.shape == (3, 3) else None
        if seen != [[1, 0, 0], [1, 1, 0], [1, 1, 1]]:
            raise ValueError(
                f"{file} has a mask {name} that is not the causal one of 3 positions; "
                "gi.load_zhong2023 reads bidirectional networks of this layout"
            )
    weights = {str(name): weight for name, weight in state.items() if name not in masks}
    check_weights(file, weights)
    if "unembed.b_U" in weights or "blocks.0.attn.b_Q" in weights:
        raise ValueError(
            f"{file} has TransformerLens' layout, with biases in attention or unembedding; read it "
            "with gi.from_transformer_lens(state_dict, config, p=p)"
        )
    return weights


def _described(
    file: str, state: Mapping[str, Tensor], act_fn: str
) -> tuple[TransformerConfig, int]:
    """The architecture and the modulus, once all tensors are known to fit them."""
    d_model, d_vocab = sizes(file, state, "embed.W_E", 2)
    n_ctx, _ = sizes(file, state, "pos_embed.W_pos", 2)
    heads, d_head, _ = sizes(file, state, "blocks.0.attn.W_Q", 3)
    d_mlp, _ = sizes(file, state, "blocks.0.mlp.W_in", 2)
    n_layers = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    both = {"n_layers": n_layers, "d_model": d_model, "d_mlp": d_mlp, "d_head": d_head}
    shapes = transformer_shapes(n_ctx=n_ctx, d_vocab=d_vocab, heads=heads, **both)
    check_shapes(file, dict(state), shapes)
    if n_ctx != 3 or d_vocab < 3:
        raise ValueError(
            f"{file} is a network of {n_ctx} positions and {d_vocab} tokens; those for modular "
            f"arithmetic read {_PROMPT!r}, 3 positions and p + 1 tokens"
        )
    config = TransformerConfig.nanda2023(
        n_heads=heads, act_fn=act_fn, prompt=_PROMPT, d_vocab_out=d_vocab, **both
    )
    return config, d_vocab - 1


def _build(
    state: Mapping[str, Tensor], config: TransformerConfig, p: int, operation: Operation
) -> HookedTransformer:
    model = HookedTransformer(config, p=p)
    model.adopt(input_first(state, config.n_heads))
    model.operation = operation
    return model
