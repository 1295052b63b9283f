"""The phase diagrams of Doshi et al. 2023 (arXiv:2310.13061) as named sweeps.

preset = presets.get("fig3a")
sweep = gi.sweep(preset.config("small"), preset.axes("small"), measure=MEASURES)

Examples:
    >>> from analyses import presets
    >>> preset = presets.get("fig3a")
    >>> preset.figure, preset.panel, preset.values
    ('Fig. 3a', 'training.weight_decay', (0.0, 5.0, 15.0, 20.0))
    >>> {axis: len(values) for axis, values in preset.axes("tiny").items()}
    {'training.weight_decay': 2, 'data.train_fraction': 3, 'data.corruption': 3}
"""

from dataclasses import dataclass
from typing import Any

from grokinterp import DataConfig, MLPConfig, RunConfig, TrainConfig, TransformerConfig
from grokinterp.checks import check_choice
from grokinterp.short_text import short_repr

X, Y = "data.train_fraction", "data.corruption"
WEIGHT_DECAY, DROPOUT = "training.weight_decay", "training.dropout"


@dataclass(frozen=True)
class Size:
    """The grid of cells of a diagram."""

    alphas: tuple[float, ...]  # train fractions
    xis: tuple[float, ...]  # shares of redrawn labels
    what: str  # for the list of sizes


# Rounded, because 0.1 + 2 * 0.1 and 0.3 are different floats and would be different runs.
SIZES = {
    "tiny": Size(
        (0.3, 0.6, 0.9), (0.0, 0.2, 0.5), "3 x 3 cells, two panels, a toy network; to try it out"
    ),
    "coarse": Size(
        (0.1, 0.3, 0.5, 0.7, 0.9),
        (0.0, 0.2, 0.4, 0.6, 0.8),
        "5 x 5 cells, all panels; for wide or deep networks, or many seeds",
    ),
    "small": Size(
        tuple(round(0.1 * i, 1) for i in range(1, 10)),
        tuple(round(0.1 * i, 1) for i in range(10)),
        "9 x 10 cells, all panels",
    ),
    "full": Size(
        tuple(round(0.1 + 0.05 * i, 2) for i in range(17)),
        tuple(round(0.05 * i, 2) for i in range(19)),
        "17 x 19 cells, all panels; the paper's grid",
    ),
}
_TOY = {"data.p": 29, "training.steps": 300, "training.eval_every": 10}


@short_repr
@dataclass(frozen=True, kw_only=True)
class Preset:
    """One phase diagram of the paper: the runs' common settings, and one panel per value."""

    figure: str  # in the paper
    description: str  # what it shows, and which settings the paper does not state
    base: RunConfig  # settings that all runs share
    panel: str  # dotted path of the setting that differs between panels
    values: tuple[int | float | str, ...]  # of that setting
    toy_width: tuple[str, int] = ("model.d_mlp", 100)  # path and value for size "tiny"
    # Train fraction and corruption, if the figure compares single networks and not diagrams.
    cell: tuple[float, float] | None = None

    def config(self, size: str) -> RunConfig:
        """The common settings; for "tiny" with a small modulus, a narrow network and few steps."""
        check_choice("size", size, SIZES)
        return self.base.replace(_TOY | dict([self.toy_width]) if size == "tiny" else {})

    def axes(self, size: str) -> dict[str, tuple[Any, ...]]:
        """Axes for ``grokinterp.sweep``; "tiny" has only the first two panels."""
        check_choice("size", size, SIZES)
        values = self.values[:2] if size == "tiny" else self.values
        alphas, xis = SIZES[size].alphas, SIZES[size].xis
        if self.cell is not None:
            alphas, xis = ((value,) for value in self.cell)
        return {self.panel: values, X: alphas, Y: xis}


def get(name: str) -> Preset:
    """A preset by name.

    Raises:
        ValueError: the name is unknown; the message suggests similar ones and lists all.
    """
    check_choice("preset", name, PRESETS)
    return PRESETS[name]


# The paper's appendix A. Split and redrawn labels depend on the run's seed. The authors' code uses
# the same ones in every cell; --set data.protocol=published does so here.
_PAPER = RunConfig(
    data=DataConfig(operation="addition", p=97),
    model=MLPConfig(d_mlp=500, act="square"),
    training=TrainConfig(steps=2000, lr=1e-2, loss="mse"),
)
_RELU = _PAPER.replace({"model.act": "relu"})
_WIDE = _PAPER.replace({"model.d_mlp": 5000})
_CROSS_ENTROPY = _PAPER.replace({"training.loss": "cross_entropy"})
# Two hidden layers; the paper counts layers of weights, and calls _PAPER's network "two-layer".
_THREE_LAYERS = RunConfig(
    data=DataConfig(operation="addition", p=97),
    model=MLPConfig(d_mlp=500, n_layers=2, act="relu", init="standard"),
    training=TrainConfig(steps=5000, lr=1e-3, loss="mse"),
)
_TRANSFORMER = RunConfig(
    data=DataConfig(operation="addition", p=97),
    model=TransformerConfig.paper1(d_model=128, n_heads=4, n_layers=1),
    training=TrainConfig(steps=3000, lr=1e-3, loss="mse"),
)
_TOY_TRANSFORMER, _TOY_WIDE = ("model.d_model", 32), ("model.d_mlp", 1000)

# Panels. The paper states the decays 0 and 20 of Fig. 3a; 5 and 15 are those of the authors' code.
_DECAYS: dict[str, Any] = {"panel": WEIGHT_DECAY, "values": (0.0, 5.0, 15.0, 20.0)}
_DECAY_SCAN: dict[str, Any] = {"panel": WEIGHT_DECAY, "values": (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)}
_NO_DECAY: dict[str, Any] = {"panel": WEIGHT_DECAY, "values": (0.0,)}
_DROPOUTS: dict[str, Any] = {"panel": DROPOUT, "values": (0.0, 0.3, 0.6, 0.9)}
_NOT_STATED = "The paper's weight decays are not known; this scans 0 to 10."
_BATCHES = {"b8": 8, "b64": 64, "b256": 256, "full": None}


def _at_batch_sizes(figure: int, norm: str | None, what: str) -> dict[str, Preset]:
    """A diagram per batch size, on which learning rate and number of steps depend."""
    diagrams = {}
    for name, batch_size in _BATCHES.items():
        training = _PAPER.training
        scaled = "the settings of Fig. 3, which are our choice for this case"
        if batch_size is not None:
            training = training.at_batch_size(batch_size)
            scaled = f"{training.steps} steps at a learning rate of {training.lr:.2g}"
        diagrams[f"fig{figure}-{name}"] = Preset(
            figure=f"Fig. {figure}",
            description=f"{what}, batches of {batch_size or 'all training pairs'}: {scaled}. "
            "Smaller batches bring more inversion. Weight decay 0.",
            base=_PAPER.replace({"model.norm": norm, "training": training}),
            **_NO_DECAY,
        )
    return diagrams


def _of_one_cell(path: str, values: tuple[Any, ...], seen: str, not_stated: str) -> Preset:
    """A comparison of transformers in Fig. 12, at one train fraction and corruption."""
    return Preset(
        figure="Fig. 12",
        description=f"Transformer: {seen}. Single networks at alpha 0.8 and xi 0.2. The paper does "
        f"not state {not_stated}.",
        base=_TRANSFORMER.replace({WEIGHT_DECAY: 1.0}),
        toy_width=_TOY_TRANSFORMER,
        panel=path,
        values=values,
        cell=(0.8, 0.2),
    )


PRESETS = {
    "fig3a": Preset(
        figure="Fig. 3a",
        description="Weight decay enlarges the region that generalises; more of it brings full "
        "inversion, and forgetting at 20. The paper does not state the number of seeds per cell; "
        "the authors' code has one.",
        base=_PAPER,
        **_DECAYS,
    ),
    "fig3b": Preset(
        figure="Fig. 3b",
        description="Dropout has nearly the same effect, with confusion at the highest "
        "probability. It acts before the activation, as in the authors' code; weight decay is 0.",
        base=_PAPER,
        **_DROPOUTS,
    ),
    "fig26-weight-decay": Preset(
        figure="Fig. 26",
        description="Cross-entropy: a narrow band of weight decays inverts, more gives confusion. "
        "The paper does not state the values. These surround the band that we found at alpha 0.6 "
        "and xi 0.3 (1000 steps, one seed): coexistence at 3, full inversion at 5, test accuracy "
        "lost at 10.",
        base=_CROSS_ENTROPY,
        panel=WEIGHT_DECAY,
        values=(0.0, 3.0, 5.0, 10.0),
    ),
    "fig26-dropout": Preset(
        figure="Fig. 26",
        description="Cross-entropy: only a very high dropout has an effect. The paper does not "
        "state the values; these are those of Fig. 3b, to compare the losses.",
        base=_CROSS_ENTROPY,
        **_DROPOUTS,
    ),
    "fig27": Preset(
        figure="Fig. 27",
        description="ReLU: more weight decay is needed than with the square activation, and there "
        "is no forgetting. The paper's values are not known; these are those of Fig. 3a, to "
        "compare the activations.",
        base=_RELU,
        **_DECAYS,
    ),
    "fig28": Preset(
        figure="Fig. 28",
        description="ReLU: confusion already at moderate dropout. The paper's values are not "
        "known; these are those of Fig. 3b, to compare the activations.",
        base=_RELU,
        **_DROPOUTS,
    ),
    "fig29": Preset(
        figure="Fig. 29",
        description="5000 neurons: slightly worse than 500; without weight decay there is no "
        "partial inversion and less coexistence. Weight decays of Fig. 3a; takes ten times as "
        "long.",
        base=_WIDE,
        toy_width=_TOY_WIDE,
        **_DECAYS,
    ),
    "fig30": Preset(
        figure="Fig. 30",
        description="5000 ReLU neurons: most of the confusion of Fig. 27 disappears. The paper's "
        "weight decays are not known; these are those of Fig. 3a. Takes ten times as long as "
        "Fig. 27.",
        base=_WIDE.replace({"model.act": "relu"}),
        toy_width=_TOY_WIDE,
        **_DECAYS,
    ),
    "fig31": Preset(
        figure="Fig. 31",
        description="Multiplication: the same diagram as for addition (Fig. 3a), with the same "
        "weight decays.",
        base=_PAPER.replace({"data.operation": "multiplication"}),
        **_DECAYS,
    ),
    "fig7a": Preset(
        figure="Fig. 7a",
        description="Transformer (one layer, bidirectional, no norms, as in the authors' code): "
        f"weight decay favours generalisation. {_NOT_STATED}",
        base=_TRANSFORMER,
        toy_width=_TOY_TRANSFORMER,
        **_DECAY_SCAN,
    ),
    "fig7b": Preset(
        figure="Fig. 7b",
        description="Three-layer ReLU MLP: weight decay favours generalisation. The paper does not "
        f"state whether there are biases; none here. Initial variance 2 / fan_in, as in Fig. 14. "
        f"{_NOT_STATED}",
        base=_THREE_LAYERS,
        **_DECAY_SCAN,
    ),
    **_at_batch_sizes(9, "batch", "BatchNorm after the activation"),
    **_at_batch_sizes(10, None, "No norm"),
    **_at_batch_sizes(11, "layer", "LayerNorm after the activation"),
    "fig12-depth": _of_one_cell(
        "model.n_layers",
        (1, 2, 3, 4),
        "depth does not change the embedding's IPR",
        "the weight decay (1 here) and the depths",
    ),
    "fig12-heads": _of_one_cell(
        "model.n_heads",
        (1, 2, 4, 8),
        "more heads raise the embedding's IPR",
        "the weight decay (1 here) and the numbers of heads",
    ),
    "fig12-tied": _of_one_cell(
        "model.tie_embedding",
        (False, True),
        "tying W_U to the embedding lowers the embedding's IPR",
        "the weight decay; it is 1 here",
    ),
    "fig13": Preset(
        figure="Fig. 13",
        description="Transformer: a little dropout helps, more than 0.1 does not. The paper does "
        "not state the values, nor where dropout acts. Here it acts on what attention and MLP add "
        "to the residual stream, without weight decay.",
        base=_TRANSFORMER.replace({"training.dropout_at": "residual"}),
        toy_width=_TOY_TRANSFORMER,
        panel=DROPOUT,
        values=(0.0, 0.05, 0.1, 0.2),
    ),
    "fig14": Preset(
        figure="Fig. 14",
        description="Three-layer ReLU MLP from initial variances 2 / fan_in and 2 / N^(2/3), which "
        "is closer to lazy training. The paper does not state biases (none here) and weight decay "
        "(1 here).",
        base=_THREE_LAYERS.replace({WEIGHT_DECAY: 1.0}),
        panel="model.init",
        values=("standard", "lazy"),
    ),
    "fig15": Preset(
        figure="Fig. 15",
        description="BatchNorm in the three-layer ReLU MLP, batches of 64: only coexistence. The "
        "paper does not state learning rate and steps; these are those of Fig. 7b, scaled to the "
        "batch size as in Fig. 9. No weight decay.",
        base=_THREE_LAYERS.replace(
            {"model.norm": "batch", "training": _THREE_LAYERS.training.at_batch_size(64)}
        ),
        **_NO_DECAY,
    ),
}
