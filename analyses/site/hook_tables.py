"""Hooks, weights and units of each architecture with their shapes, read off small networks.

Every size of such a network is another number, so that a shape says which axes there are.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

import grokinterp as gi
from grokinterp.short_text import short_repr

BATCH, P = 7, 11
# A vocabulary of p residues and "=", or p alone, as the prompt has it.
_COMMON = {BATCH: "batch", 1: "1", 2: "2", 3: "pos", P: "p", 12: "d_vocab"}
_LAYER = (
    (re.compile(r"\b(blocks|layers)\.\d+"), r"\1.{l}"),
    (re.compile(r"\bsteps\.\d+"), "steps.{t}"),
    (re.compile(r"_l\d+$"), "_l{l}"),
    (re.compile(r"\b(neurons|heads|hidden|gate_\w)\.\d+"), r"\1.{l}"),
)


@short_repr
@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A kind of network, with the words for its sizes."""

    name: str  # of the class
    says: str
    config: Any
    more: Mapping[str, Any]  # "with a norm" -> a config that has hooks which ``config`` lacks
    axes: Mapping[int, str]  # size -> its name


ARCHITECTURES = (
    Architecture(
        name="HookedMLP",
        says="A table for each operand, whose rows are added, and hidden layers. "
        "`layers.0.hook_pre` is the sum of both operands' rows. The `hook_scale` of a batch norm "
        "has an entry for each neuron, `[d_mlp]`.",
        config=gi.MLPConfig(d_mlp=31, n_layers=2),
        more={"with a norm": gi.MLPConfig(d_mlp=31, n_layers=2, norm="layer")},
        axes={31: "d_mlp"},
    ),
    Architecture(
        name="HookedTransformer",
        says="The names and shapes of TransformerLens' class. `pos` runs over the prompt, such as "
        '"a b =". `hook_normalized` of a norm is what comes before its gain and offset. '
        'There is no `ln_final` with `norm_position="post"`.',
        config=gi.TransformerConfig(d_model=20, n_heads=5, d_mlp=31),
        more={
            "with norms": gi.TransformerConfig(
                d_model=20, n_heads=5, d_mlp=31, normalization_type="LN"
            ),
        },
        axes={20: "d_model", 5: "head", 4: "d_head", 31: "d_mlp"},
    ),
    Architecture(
        name="HookedLSTM",
        says="Step t reads the t-th word of the prompt. `hook_i`, `hook_f`, `hook_g` and `hook_o` "
        "are the gates after their nonlinearity, `hook_c` and `hook_h` the states.",
        config=gi.LSTMConfig(d_embed=20, d_hidden=31),
        more={},
        axes={20: "d_embed", 31: "d_hidden", 124: "4 d_hidden"},
    ),
    Architecture(
        name="HookedEmbeddingMLP",
        says="One table for both operands, whose rows are joined (or added: `combine`), and hidden "
        "layers of the widths `hidden`, here two. The `hook_scale` of a batch norm has an entry "
        "for each neuron.",
        config=gi.EmbeddingMLPConfig(d_embed=20, hidden=(31, 37)),
        more={"with a norm": gi.EmbeddingMLPConfig(d_embed=20, hidden=(31, 37), norm="layer")},
        axes={20: "d_embed", 40: "2 d_embed", 31: "hidden[0]", 37: "hidden[1]"},
    ),
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of a table: a name, with {l} for a layer and {t} for a step, and its axes."""

    name: str
    axes: tuple[str, ...]
    only: str = ""  # such as "with a norm"


def hooks(architecture: Architecture) -> list[Line]:
    """Every hook point that a forward pass on pairs reaches, in order, without repetitions."""
    return _lines(architecture, lambda model: model.run_with_cache(_pairs())[1])


def weights(architecture: Architecture) -> list[Line]:
    """Every parameter."""
    return _lines(architecture, lambda model: dict(model.named_parameters()))


def units(architecture: Architecture) -> list[tuple[str, str]]:
    """What ``unit=`` may be, and its hook point."""
    kinds = built(architecture.config).unit_hooks
    found = {(general(name), general(kind.last)): None for name, kind in kinds.items()}
    return list(found)


def built(config: Any) -> Any:
    """A small untrained network."""
    return gi.build_model(gi.RunConfig(data=gi.DataConfig(p=P), model=config)).eval()


def general(name: str) -> str:
    """The name with {l} for the number of a layer and {t} for that of a step."""
    for pattern, general in _LAYER:
        name = pattern.sub(general, name)
    return name


def markdown() -> str:
    """The page."""
    parts = [
        "# Hooks and shapes",
        "Read off each architecture when this page was made. `batch` is the number of pairs, "
        "`{l}` a layer and `{t}` a step, both from 0. Every name is one for `run_with_cache`, for "
        "`run_with_hooks` and for `hook=` of the interventions; the names of units are for "
        "`unit=`. [What of TransformerLens works](transformer_lens.md) on them is a page of its "
        "own.",
    ]
    for one in ARCHITECTURES:
        of_units = "\n".join(f"| `{name}` | `{hook}` |" for name, hook in units(one))
        parts += [
            f"## {one.name}",
            f"{one.says} Built by `gi.{type(one.config).__name__}`; logits: `[batch, p]`, "
            "or `[batch, d_vocab_out]` where that is set.",
            f"### Hooks of {one.name}",
            "\n".join(_table("hook point", hooks(one))),
            f"### Weights of {one.name}",
            "\n".join(_table("parameter", weights(one))),
            f"### Units of {one.name}",
            f"| `unit=` | hook point |\n|---|---|\n{of_units}",
        ]
    return "\n\n".join(parts) + "\n"


def _lines(architecture: Architecture, read: Any) -> list[Line]:
    """One line for all layers and steps where they have the same axes, else one for each."""
    found: dict[str, Line] = {}
    words = _COMMON | dict(architecture.axes)
    for only, config in {"": architecture.config, **architecture.more}.items():
        with torch.no_grad():
            tensors = read(built(config))
        for name, tensor in tensors.items():
            axes = tuple(words[size] for size in tensor.shape)
            found.setdefault(name, Line(name=name, axes=axes, only=only))
    kinds: dict[str, set[tuple[str, ...]]] = {}
    for line in found.values():
        kinds.setdefault(general(line.name), set()).add(line.axes)
    merged: dict[str, Line] = {}
    for name, line in found.items():
        shown = general(name) if len(kinds[general(name)]) == 1 else name
        merged.setdefault(shown, dataclasses.replace(line, name=shown))
    return list(merged.values())


def _pairs() -> torch.Tensor:
    return torch.zeros(BATCH, 2, dtype=torch.long)


def _table(head: str, lines: list[Line]) -> Iterator[str]:
    yield f"| {head} | shape | |"
    yield "|---|---|---|"
    for line in lines:
        yield f"| `{line.name}` | `[{', '.join(line.axes)}]` | {line.only} |"
