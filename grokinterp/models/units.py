"""Names and places of the parts of a network that interventions act on.

A network lists its own with ``model.list_units()``: the neurons of each MLP layer ("neurons.0"),
the heads of each attention layer ("heads.0"), the hidden states and gates of each LSTM layer
("hidden.0", "gate_i.0" ...) and the frequencies of its embedding ("frequencies").
"""

from dataclasses import dataclass

from grokinterp.short_text import short

FREQUENCIES = "frequencies"
# What the units of a kind are called, many and one.
WORDS = {
    "neurons": ("neurons", "neuron"),
    "heads": ("heads", "head"),
    "hidden": ("hidden units", "hidden unit"),
    "gate_i": ("gate units", "gate unit"),
    "gate_f": ("gate units", "gate unit"),
    "gate_g": ("gate units", "gate unit"),
    "gate_o": ("gate units", "gate unit"),
    FREQUENCIES: ("frequencies", "frequency"),
}


@dataclass(frozen=True)
class UnitHooks:
    """The hook points and the axis at which units of one kind and layer are found."""

    hooks: tuple[str, ...]  # their hook points; of a recurrent layer one per step, in order
    axis: int = -1  # of the activation, counted from the end: its entries are the units

    @property
    def last(self) -> str:
        """The hook point of the last step, or the only one."""
        return self.hooks[-1]


@dataclass(frozen=True)
class Units(UnitHooks):
    """The units of one kind and layer, such as the 4 heads of layer 0.

    Unit i of "frequencies" is the frequency i + 1 of the task's basis.
    """

    name: str = ""  # "kind.layer", such as "heads.0", or "frequencies"
    count: int = 0

    @property
    def kind(self) -> str:
        """The part of the name before the dot."""
        return kind_of(self.name)


def kind_of(name: str) -> str:
    """The kind in a name, such as "heads" in "heads.0"."""
    return name.partition(".")[0]


def position_axis(hook: str) -> int:
    """The axis of sequence positions in a hook point's activation, where it has positions.

    [batch, pos, ...], but [batch, head, query pos, key pos] of attention patterns and scores.
    """
    return 2 if hook.endswith(("hook_pattern", "hook_attn_scores")) else 1


class HooksOf(str):
    """A hook name that stands for all hook points of some units; each network looks them up.

    To TransformerLens' own models, which do not know this class, it is the string itself.
    """

    layer: int  # with unit == "": the neurons of this layer, of an LSTM its hidden states
    unit: str  # a name of units, such as "heads.0"

    @property
    def kind(self) -> str:
        """The kind of the units, such as "heads"."""
        return kind_of(self.unit or "neurons.")

    @classmethod
    def neurons(cls, layer: int) -> "HooksOf":
        """The hook points of a layer's neurons, or of an LSTM's hidden states, from layer 0."""
        return cls._made(f"blocks.{layer}.mlp.hook_post", layer, "")

    @classmethod
    def units(cls, name: str) -> "HooksOf":
        """The hook points of the units with a name.

        Raises:
            ValueError: no network has units of this name.
        """
        kind, _, layer = name.partition(".")
        if kind not in WORDS or (kind == FREQUENCIES) == layer.isdecimal():
            raise ValueError(
                f"unit={short(name)} is not a name of units. They are called 'neurons.0' (of layer "
                "0), 'heads.0', 'hidden.0', 'gate_i.0' (or _f, _g, _o) and 'frequencies'; "
                "model.list_units() lists those of a network"
            )
        at = {"neurons": "mlp.hook_post", "heads": "attn.hook_z"}.get(kind)
        return cls._made(name if at is None else f"blocks.{layer}.{at}", int(layer or 0), name)

    @classmethod
    def _made(cls, hook: str, layer: int, unit: str) -> "HooksOf":
        made = cls(hook)
        made.layer, made.unit = layer, unit
        return made
