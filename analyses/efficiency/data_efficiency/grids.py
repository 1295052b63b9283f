"""The optimisers and regularisers of the second paper's Fig. 4, as one named axis of a sweep.

The paper compares full-batch Adam with eight others that differ from it in several things at once,
not all of them stated. Here there is one baseline, full-batch Adam at the baseline learning rate;
every other setting changes one thing, and all of them are repeated at the high rate. Adam is AdamW
without weight decay, to the bit, so all full-batch settings use one optimiser.

"published" has the sizes of the paper's code, learning rates of 1e-4, 3.3e-4 and 1e-3 (the figure
says 0.3 and 3 times a baseline, its caption 1e-4 and 1e-3), batches of 128, dropout 0.1 and weight
decay 0.1. Not stated, and so our choice: the noise levels, the number of steps (1e5, as for Fig. 1)
and the full batch in all panels but one. Every seed draws its own split.

"small" is the small transformer of ``settings`` with modulus 31, 128 neurons, the prompt "a b =",
and full batches. Its own learning rate is the high one, as the paper's is, and its weight decay is
that of the panels with decay. With 10,000 steps, rate times decay times steps is 3.3 at the
baseline rate and 10 at the high one, as in the paper. Batches have 64 pairs.

"tiny" is the toy transformer of ``settings`` on two fractions.
"""

import dataclasses
from typing import Any

import grokinterp as gi
from analyses.efficiency import settings
from grokinterp.checks import check_choice
from grokinterp.short_text import short_repr

BASELINE = "full-batch Adam"
RATES = ("low", "baseline", "high")

# The figure's panels, in its order: what each changes, and its learning rate.
PANELS: dict[str, tuple[str, str]] = {
    "full-batch Adam": (BASELINE, "baseline"),
    "small batches": ("small batches", "baseline"),
    "update noise": ("update noise", "baseline"),
    "dropout": ("dropout", "baseline"),
    "decay to zero": ("decay to zero", "baseline"),
    "decay to initialisation": ("decay to initialisation", "baseline"),
    "low learning rate": (BASELINE, "low"),
    "high learning rate": (BASELINE, "high"),
    "weight noise": ("weight noise", "baseline"),
}
FACTORS = tuple(dict.fromkeys(factor for factor, _ in PANELS.values()))


@short_repr
@dataclasses.dataclass(frozen=True, kw_only=True)
class SettingsGrid:
    """A grid of settings, fractions and seeds at one size."""

    base: gi.RunConfig  # full-batch Adam; the axes set learning rate and fraction
    rates: dict[str, float]  # by the names in ``RATES``
    batch_size: int
    update_noise: float = 1.0
    dropout: float = 0.1
    weight_decay: float
    weight_noise: float = 0.01
    fractions: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

    def changes(self, factor: str) -> dict[str, Any]:
        """The fields that a factor changes in the baseline."""
        return {
            BASELINE: {},
            "small batches": {"training.batch_size": self.batch_size},
            "update noise": {"training.update_noise": self.update_noise},
            "dropout": {"training.dropout": self.dropout, "training.dropout_at": "mlp_out"},
            "decay to zero": {"training.weight_decay": self.weight_decay},
            "decay to initialisation": {
                "training.weight_decay": self.weight_decay,
                "training.decay": "decoupled_init",
            },
            "weight noise": {"training.weight_noise": self.weight_noise},
        }[factor]

    @property
    def axes(self) -> dict[str, Any]:
        """Axes for ``gi.sweep``: "setting", labelled "FACTOR, RATE rate", and the train fraction.

        Every factor comes at the baseline and the high rate; the low rate is for Adam only.
        """
        cells = [(factor, rate) for factor in FACTORS for rate in RATES[1:]] + [(BASELINE, "low")]
        return {
            "setting": {
                label(*cell): {"training.lr": self.rates[cell[1]]} | self.changes(cell[0])
                for cell in cells
            },
            "data.train_fraction": self.fractions,
        }


def label(factor: str, rate: str) -> str:
    """A setting's label on the sweep's axis."""
    return f"{factor}, {rate} rate"


def cell(label: str) -> tuple[str, str]:
    """The factor and the rate in a setting's label."""
    factor, _, rate = label.removesuffix(" rate").rpartition(", ")
    return factor, rate


def get(size: str) -> SettingsGrid:
    """The grid of a size: one of ``settings.SIZES``."""
    check_choice("size", size, GRIDS)
    return GRIDS[size]


def _base(size: str, changes: dict[str, Any]) -> gi.RunConfig:
    plain = {"training.weight_decay": 0.0, "training.batch_size": None}
    return settings.network("transformer", size).replace(plain | changes)


_RATES = {"low": 2e-4, "baseline": 6.6e-4, "high": 2e-3}
_SMALLER = {
    "data.p": 31,
    "model.prompt": "a b =",
    "model.d_mlp": 128,
    "training.steps": 10_000,
    "training.eval_every": 50,
}
GRIDS = {
    "tiny": SettingsGrid(
        base=_base("tiny", {"training.steps": 200, "training.eval_every": 10}),
        rates={"low": 5e-3, "baseline": 1e-2, "high": 2e-2},
        batch_size=128,
        weight_decay=1.0,
        fractions=(0.5, 0.8),
    ),
    "small": SettingsGrid(
        base=_base("small", _SMALLER),
        rates=_RATES,
        batch_size=64,
        weight_decay=0.5,
    ),
    "published": SettingsGrid(
        base=_base("published", {}),
        rates={"low": 1e-4, "baseline": 3.3e-4, "high": 1e-3},
        batch_size=128,
        weight_decay=0.1,
    ),
}
