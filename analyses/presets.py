"""The phase diagrams of Doshi et al. 2023 (arXiv:2310.13061) as sweeps that can be started by name.

preset = presets.get("fig3a")
sweep = gi.sweep(preset.config("small"), preset.axes("small"), measure=MEASURES)
"""

from dataclasses import dataclass

from grokinterp import DataConfig, MLPConfig, RunConfig, TrainConfig
from grokinterp._checks import check_choice

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
_TOY_P, _TOY_STEPS, _TOY_NARROWER = 29, 300, 5


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One phase diagram: what its runs share, and what its panels differ in."""

    figure: str  # in the paper
    description: str  # what it shows, and what the paper leaves open
    base: RunConfig
    panel: str  # dotted path of the axis with one panel per value
    values: tuple[float, ...]

    def config(self, size: str) -> RunConfig:
        """What the runs share. "tiny" is a toy: a small modulus, a narrow network, few steps."""
        check_choice("size", size, SIZES)
        if size != "tiny":
            return self.base
        narrow = self.base.model.d_mlp // _TOY_NARROWER
        return self.base.replace(
            {"data.p": _TOY_P, "model.d_mlp": narrow, "training.steps": _TOY_STEPS}
        )

    def axes(self, size: str) -> dict[str, tuple[float, ...]]:
        """Axes for ``grokinterp.sweep``; "tiny" has the first two panels only."""
        check_choice("size", size, SIZES)
        values = self.values[:2] if size == "tiny" else self.values
        return {self.panel: values, X: SIZES[size].alphas, Y: SIZES[size].xis}


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
        panel=WEIGHT_DECAY,
        values=_DECAYS,
    ),
    "fig30": Preset(
        figure="Fig. 30",
        description="5000 ReLU neurons: the confusion of Fig. 27 is largely gone. The paper's "
        "weight decays are not known; those of Fig. 3a here. Ten times the work of Fig. 27.",
        base=_WIDE.replace({"model.act": "relu"}),
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
}
