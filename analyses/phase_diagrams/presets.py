"""The phase diagrams of Doshi et al. 2023 (arXiv:2310.13061) as sweeps that can be started by name.

preset = presets.get("fig3a")
sweep = gi.sweep(preset.config("small"), preset.axes("small"), measure=MEASURES)
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
    """How finely a diagram is drawn."""

    alphas: tuple[float, ...]  # train fractions
    xis: tuple[float, ...]  # corruption
    what: str


# Decimals are rounded: 0.1 + 2 * 0.1 would be another run than 0.3.
SIZES = {
    "tiny": Size(
        (0.3, 0.6, 0.9), (0.0, 0.2, 0.5), "3 x 3 cells, two panels, a toy network; to try it out"
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
_TOY_P, _TOY_STEPS, _TOY_EVERY = 29, 300, 10


@short_repr
@dataclass(frozen=True, kw_only=True)
class Preset:
    """One phase diagram: what its runs share, and what its panels differ in."""

    figure: str  # in the paper
    description: str  # what it shows, and what the paper leaves open
    base: RunConfig
    panel: str  # dotted path of the axis with one panel per value
    values: tuple[int | float | str, ...]
    toy_width: tuple[str, int] = ("model.d_mlp", 100)  # of a toy's network: its path and the value
    # Train fraction and corruption of a figure that compares single networks, not diagrams.
    cell: tuple[float, float] | None = None

    def config(self, size: str) -> RunConfig:
        """What the runs share. "tiny" is a toy: a small modulus, a narrow network, few steps."""
        check_choice("size", size, SIZES)
        if size != "tiny":
            return self.base
        path, width = self.toy_width
        return self.base.replace(
            {
                "data.p": _TOY_P,
                path: width,
                "training.steps": _TOY_STEPS,
                "training.eval_every": _TOY_EVERY,
            }
        )

    def axes(self, size: str) -> dict[str, tuple[Any, ...]]:
        """Axes for ``grokinterp.sweep``; "tiny" has the first two panels only."""
        check_choice("size", size, SIZES)
        values = self.values[:2] if size == "tiny" else self.values
        alphas, xis = SIZES[size].alphas, SIZES[size].xis
        if self.cell is not None:
            alphas, xis = ((value,) for value in self.cell)
        return {self.panel: values, X: alphas, Y: xis}


def get(name: str) -> Preset:
    """A preset by name.

    Raises:
        ValueError: there is none; the message suggests the nearest and lists all.
    """
    check_choice("preset", name, PRESETS)
    return PRESETS[name]


# Appendix A. The split and the redrawn labels follow the seed, unlike the authors' own, which are
# the same in every cell; --set data.protocol=published gives theirs.
_PAPER = RunConfig(
    data=DataConfig(operation="addition", p=97),
    model=MLPConfig(d_mlp=500, act="square"),
    training=TrainConfig(steps=2000, lr=1e-2, loss="mse"),
)
_RELU = _PAPER.replace({"model.act": "relu"})
_WIDE = _PAPER.replace({"model.d_mlp": 5000})
_CROSS_ENTROPY = _PAPER.replace({"training.loss": "cross_entropy"})
# Fig. 3a quotes 0 and 20; the two between are those of the authors' code.
_DECAYS = (0.0, 5.0, 15.0, 20.0)
_DROPOUTS = (0.0, 0.3, 0.6, 0.9)

_TRANSFORMER = RunConfig(
    data=DataConfig(operation="addition", p=97),
    model=TransformerConfig.paper1(d_model=128, n_heads=4, n_layers=1),
    training=TrainConfig(steps=3000, lr=1e-3, loss="mse"),
)
# Two hidden layers; the first network, with one, is the paper's "two-layer" one.
_THREE_LAYERS = RunConfig(
    data=DataConfig(operation="addition", p=97),
    model=MLPConfig(d_mlp=500, n_layers=2, act="relu", init="standard"),
    training=TrainConfig(steps=5000, lr=1e-3, loss="mse"),
)
_SCAN = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
_NOT_STATED = "The paper's weight decays are not known; a scan from 0 to 10 here."
_BATCHES = {"b8": 8, "b64": 64, "b256": 256, "full": None}
_TRANSFORMER_AT_ONE = _TRANSFORMER.replace({WEIGHT_DECAY: 1.0})
_TOY_TRANSFORMER, _TOY_WIDE = ("model.d_model", 32), ("model.d_mlp", 1000)


def _at_batch_sizes(figure: int, norm: str | None, what: str) -> dict[str, "Preset"]:
    """A diagram for each batch size: it sets the learning rate and the number of steps, too."""
    diagrams = {}
    for name, batch_size in _BATCHES.items():
        training, scaled = _PAPER.training, "the settings of Fig. 3, which are ours for this case"
        if batch_size is not None:
            training = training.at_batch_size(batch_size)
            scaled = f"{training.steps} steps at a learning rate of {training.lr:.2g}"
        diagrams[f"fig{figure}-{name}"] = Preset(
            figure=f"Fig. {figure}",
            description=f"{what}, batches of {batch_size or 'all training pairs'}: {scaled}. "
            "Smaller batches bring more inversion. Weight decay 0.",
            base=_PAPER.replace({"model.norm": norm, "training": training}),
            panel=WEIGHT_DECAY,
            values=(0.0,),
        )
    return diagrams


PRESETS = {
    "fig3a": Preset(
        figure="Fig. 3a",
        description="Weight decay widens the region that generalises, brings full inversion, and "
        "forgetting at 20. Seeds per cell are not stated; the authors' code has one.",
        base=_PAPER,
        panel=WEIGHT_DECAY,
        values=_DECAYS,
    ),
    "fig3b": Preset(
        figure="Fig. 3b",
        description="Dropout (before the activation, as in the authors' code; weight decay 0) does "
        "much the same, with confusion at the highest probability.",
        base=_PAPER,
        panel=DROPOUT,
        values=_DROPOUTS,
    ),
    "fig26-weight-decay": Preset(
        figure="Fig. 26",
        description="Cross-entropy: a narrow band of weight decays inverts, more gives confusion. "
        "The paper does not state the values. These lie around the band as found with alpha 0.6 "
        "and xi 0.3 (1000 steps, one seed): coexistence at 3, full inversion at 5, test accuracy "
        "lost at 10.",
        base=_CROSS_ENTROPY,
        panel=WEIGHT_DECAY,
        values=(0.0, 3.0, 5.0, 10.0),
    ),
    "fig26-dropout": Preset(
        figure="Fig. 26",
        description="Cross-entropy: dropout must be very high to matter. The paper does not state "
        "the values; those of Fig. 3b here, so that the losses compare.",
        base=_CROSS_ENTROPY,
        panel=DROPOUT,
        values=_DROPOUTS,
    ),
    "fig27": Preset(
        figure="Fig. 27",
        description="ReLU: it takes more weight decay than with squares, and there is no "
        "forgetting. The paper's values are not known; those of Fig. 3a here, so that the "
        "activations compare.",
        base=_RELU,
        panel=WEIGHT_DECAY,
        values=_DECAYS,
    ),
    "fig28": Preset(
        figure="Fig. 28",
        description="ReLU: confusion at moderate dropout already. The paper's values are not "
        "known; those of Fig. 3b here, so that the activations compare.",
        base=_RELU,
        panel=DROPOUT,
        values=_DROPOUTS,
    ),
    "fig29": Preset(
        figure="Fig. 29",
        description="5000 neurons: marginally worse than 500; without weight decay no partial "
        "inversion and a smaller coexistence. Weight decays as in Fig. 3a. Ten times its work.",
        base=_WIDE,
        toy_width=_TOY_WIDE,
        panel=WEIGHT_DECAY,
        values=_DECAYS,
    ),
    "fig30": Preset(
        figure="Fig. 30",
        description="5000 ReLU neurons: the confusion of Fig. 27 is largely gone. The paper's "
        "weight decays are not known; those of Fig. 3a here. Ten times the work of Fig. 27.",
        base=_WIDE.replace({"model.act": "relu"}),
        toy_width=_TOY_WIDE,
        panel=WEIGHT_DECAY,
        values=_DECAYS,
    ),
    "fig31": Preset(
        figure="Fig. 31",
        description="Multiplication: the diagram is that of addition, Fig. 3a, whose weight "
        "decays it has.",
        base=_PAPER.replace({"data.operation": "multiplication"}),
        panel=WEIGHT_DECAY,
        values=_DECAYS,
    ),
    "fig7a": Preset(
        figure="Fig. 7a",
        description="Transformer (one layer, bidirectional, no norms, as in the authors' code): "
        f"weight decay favours generalisation. {_NOT_STATED}",
        base=_TRANSFORMER,
        toy_width=_TOY_TRANSFORMER,
        panel=WEIGHT_DECAY,
        values=_SCAN,
    ),
    "fig7b": Preset(
        figure="Fig. 7b",
        description="Three-layer ReLU MLP: weight decay favours generalisation. Biases are not "
        f"stated; none here. The initial variance is that of Fig. 14, 2 / fan_in. {_NOT_STATED}",
        base=_THREE_LAYERS,
        panel=WEIGHT_DECAY,
        values=_SCAN,
    ),
    **_at_batch_sizes(9, "batch", "BatchNorm after the activation"),
    **_at_batch_sizes(10, None, "No norm"),
    **_at_batch_sizes(11, "layer", "LayerNorm after the activation"),
    "fig12-depth": Preset(
        figure="Fig. 12",
        description="Transformer: depth leaves the embedding's IPR alone. Single networks at "
        "alpha 0.8 and xi 0.2. The paper does not state weight decay (1 here) and depths.",
        base=_TRANSFORMER_AT_ONE,
        toy_width=_TOY_TRANSFORMER,
        panel="model.n_layers",
        values=(1, 2, 3, 4),
        cell=(0.8, 0.2),
    ),
    "fig12-heads": Preset(
        figure="Fig. 12",
        description="Transformer: more heads raise the embedding's IPR. Single networks at "
        "alpha 0.8 and xi 0.2. The paper does not state weight decay (1 here) and numbers.",
        base=_TRANSFORMER_AT_ONE,
        toy_width=_TOY_TRANSFORMER,
        panel="model.n_heads",
        values=(1, 2, 4, 8),
        cell=(0.8, 0.2),
    ),
    "fig12-tied": Preset(
        figure="Fig. 12",
        description="Transformer: tying W_U to the embedding lowers its IPR. Single networks at "
        "alpha 0.8 and xi 0.2. The paper does not state the weight decay; 1 here.",
        base=_TRANSFORMER_AT_ONE,
        toy_width=_TOY_TRANSFORMER,
        panel="model.tie_embedding",
        values=(False, True),
        cell=(0.8, 0.2),
    ),
    "fig13": Preset(
        figure="Fig. 13",
        description="Transformer: a little dropout helps, more than 0.1 does not. The paper does "
        "not state the values, nor where it acts: on what attention and MLP add to the residual "
        "stream here, without weight decay.",
        base=_TRANSFORMER.replace({"training.dropout_at": "residual"}),
        toy_width=_TOY_TRANSFORMER,
        panel=DROPOUT,
        values=(0.0, 0.05, 0.1, 0.2),
    ),
    "fig14": Preset(
        figure="Fig. 14",
        description="Three-layer ReLU MLP from initial variances 2 / fan_in and, lazier, "
        "2 / N^(2/3). Biases are not stated (none here), nor is the weight decay; 1 here.",
        base=_THREE_LAYERS.replace({WEIGHT_DECAY: 1.0}),
        panel="model.init",
        values=("standard", "lazy"),
    ),
    "fig15": Preset(
        figure="Fig. 15",
        description="BatchNorm in the three-layer ReLU MLP, batches of 64: coexistence only. The "
        "paper does not state rate and steps; those of Fig. 7b here, scaled as in Fig. 9. No "
        "weight decay.",
        base=_THREE_LAYERS.replace(
            {"model.norm": "batch", "training": _THREE_LAYERS.training.at_batch_size(64)}
        ),
        panel=WEIGHT_DECAY,
        values=(0.0,),
    ),
}
