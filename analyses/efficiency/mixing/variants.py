"""Ways to mix two circuits: what is mixed, loss, optimiser, and what weight decay acts on.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency.circuits.sources import END, closed_form, from_checkpoint
    >>> from analyses.efficiency.mixing import variants
    >>> from analyses.efficiency.mixing.tables import tables_of
    >>> config = gi.RunConfig().replace({"data.p": 13, "data.train_fraction": 0.3})
    >>> run = gi.train(config.replace({"training.steps": 200}))
    >>> memorising = from_checkpoint(run, END, "memorising", definition="published")
    >>> tables = tables_of(memorising, closed_form(config.data, d_mlp=200))
    >>> two = {"Adam": variants.Variant(), "SGD": variants.Variant(sgd=True)}
    >>> data = variants.compute([tables], two, steps=20)
    >>> data.variant.values.tolist(), data.weights.dims
    (['Adam', 'SGD'], ('variant', 'seed', 'start', 'step', 'circuit'))
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import xarray as xr

from analyses.efficiency.mixing import mixture
from analyses.efficiency.mixing.tables import Tables
from grokinterp.bars import each
from grokinterp.session import unaffected
from grokinterp.short_text import short_repr

_COST = 0.1  # of the loss at the start, see Variant


@short_repr
@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to mix two circuits and to train the mixture.

    ``decay`` is None, "scalars" (decoupled, lambda 1) or "circuits": a penalty in the loss, which
    for C_mem alone (w_mem = 1) is a tenth of the loss at the start. SGD uses the full batch and a
    learning rate of classes / 400, at which the paper's faster circuit is stable.
    """

    mixed: str = "probabilities"
    loss: str = "mse_softmax"
    sgd: bool = False
    decay: str | None = None

    def config(self, tables: Tables, *, steps: int = 1500, every: int = 5) -> mixture.MixtureConfig:
        """The settings of this variant for two circuits, evaluated ``every`` so many steps."""
        classes = tables.memorising.shape[1]
        start = math.log(classes) if self.loss == "cross_entropy" else 1 / classes
        training = replace(
            mixture.PUBLISHED_TRAINING, loss=self.loss, steps=steps, eval_every=every
        )
        if self.sgd:
            training = replace(training, optimizer="sgd", lr=classes / 400, batch_size=None)
        if self.decay == "scalars":
            training = replace(training, weight_decay=1.0, decay="decoupled_zero")
        if self.decay == "circuits":
            cost = 2 * _COST * start / tables.norms[0] ** 2
            optimizer = "sgd" if self.sgd else "adam"
            training = replace(training, optimizer=optimizer, weight_decay=cost, decay="l2")
        return mixture.MixtureConfig(
            mixed=self.mixed, training=training, decay_of=self.decay or "scalars"
        )


PUBLISHED = "probabilities, MSE"
# (w_m2, w_g2): the text has 10 and the code 1000.
FACTORS = {f"{factor}:1": (float(factor), 1.0) for factor in (1, 3, 10, 30, 1000)}
EFFICIENT = "probabilities, MSE, decay of circuits"
SGD = "probabilities, MSE, SGD"
_EFFICIENT_NLL = Variant(loss="cross_entropy", decay="circuits")
VARIANTS: dict[str, Variant] = {
    PUBLISHED: Variant(),
    "probabilities, MSE, decay of scalars": Variant(decay="scalars"),
    EFFICIENT: Variant(decay="circuits"),
    SGD: Variant(sgd=True),
    "probabilities, MSE, SGD, decay of circuits": Variant(sgd=True, decay="circuits"),
    "probabilities, cross-entropy": Variant(loss="cross_entropy"),
    "probabilities, cross-entropy, decay of circuits": _EFFICIENT_NLL,
    "logits, MSE": Variant(mixed="logits"),
    "logits, MSE, decay of circuits": Variant(mixed="logits", decay="circuits"),
    "logits, cross-entropy": Variant(mixed="logits", loss="cross_entropy"),
    "logits, cross-entropy, decay of circuits": replace(_EFFICIENT_NLL, mixed="logits"),
}
# For the halves of a network, which was trained on the squared error of its logits.
_SQUARED = Variant(mixed="logits", loss="mse")
OF_HALVES: dict[str, Variant] = {
    "logits, squared error": _SQUARED,
    "logits, squared error, decay of circuits": replace(_SQUARED, decay="circuits"),
}


@unaffected()
def compute(
    tables: Sequence[Tables] | Mapping[int, Tables],
    variants: Mapping[str, Variant] = VARIANTS,
    *,
    steps: int = 1500,
    starts: Mapping[str, Sequence[float]] = mixture.STARTS,
    every: int = 5,
    progress: bool = False,
) -> xr.Dataset:
    """``mixture.compute`` of all variants and seeds, over ("variant", "seed", ...).

    Args:
        tables: by seed, or a list for seeds 0, 1, ...
        variants: by name.
        steps: of every mixture.
        starts: initial scalars by name, as for ``mixture.compute``.
        every: so many steps the mixture is evaluated.
        progress: show a bar over the variants.
    """
    by_seed = tables if isinstance(tables, Mapping) else dict(enumerate(tables))

    def axis(name: str, of: Sequence[xr.Dataset], values: Sequence[object]) -> xr.Dataset:
        return xr.concat(of, dim=xr.Variable(name, list(values)), combine_attrs="drop_conflicts")

    found = []
    for variant in each(list(variants.values()), "variants", wanted=progress):
        curves = [
            mixture.compute(t, starts, config=variant.config(t, steps=steps, every=every))
            for t in by_seed.values()
        ]
        found.append(axis("seed", curves, list(by_seed)))
    return axis("variant", found, list(variants))
