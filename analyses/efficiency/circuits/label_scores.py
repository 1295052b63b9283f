"""Accuracy, logits and margins on each kind of example, for the given and the true label.

Examples:
    >>> import grokinterp as gi
    >>> from analyses.efficiency.circuits.label_scores import label_scores
    >>> model = gi.closed_form_mlp(p=13, d_mlp=200)  # it knows the rule, but no wrong label
    >>> data = gi.make_dataset(gi.DataConfig(p=13, corruption=0.3))
    >>> accuracy = label_scores(model(data.tokens), data).accuracy.sel(subset="changed")
    >>> accuracy.sel(label="given").item(), accuracy.sel(label="true").item()
    (0.0, 1.0)
"""

import numpy as np
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from grokinterp import Dataset
from grokinterp.data import SUBSETS
from probes import accuracy
from probes.margins import label_logits, label_margins

LABELS = ("given", "true")  # they differ only on changed examples


def label_scores(logits: Float[Tensor, "pair classes"], dataset: Dataset) -> xr.Dataset:
    """Accuracy, logits and margins on each subset of the examples.

    Args:
        logits: on all p * p pairs, in the dataset's order, of at least p classes; every class
            counts as a possible answer.
        dataset: the labels and subsets.

    Returns:
        Dataset over ("subset", "label"), the label being "given" or "true": ``accuracy``; mean and
        median of the logit at the label (before any softmax), ``mean_logit`` and ``median_logit``;
        and of its margin over the largest other class, ``mean_margin`` and ``median_margin``. Over
        "subset": ``n_examples``. An empty subset has NaN.

    Raises:
        ValueError: logits of another number of pairs, or of fewer than p classes.
    """
    if len(logits) != len(dataset.labels) or logits.shape[1] < dataset.p:
        raise ValueError(
            f"the dataset has {len(dataset.labels)} pairs of {dataset.p} residues, but logits are "
            f"{list(logits.shape)}; use the dataset that the network was made for"
        )
    logits = logits.detach()
    names = ("accuracy", "mean_logit", "median_logit", "mean_margin", "median_margin")
    found = np.full((len(names), len(SUBSETS), len(LABELS)), np.nan)
    for j, labels in enumerate((dataset.labels, dataset.clean_labels)):
        at_label, margin = label_logits(logits, labels), label_margins(logits, labels)
        for i, subset in enumerate(SUBSETS):
            mask = dataset.masks[subset]
            if mask.any():
                values = [at_label[mask].numpy(), margin[mask].numpy()]
                averages = [average(x) for x in values for average in (np.mean, np.median)]
                found[:, i, j] = [accuracy(logits, labels, mask), *averages]
    return xr.Dataset(
        {name: (("subset", "label"), values) for name, values in zip(names, found, strict=True)}
        | {"n_examples": ("subset", [int(dataset.masks[subset].sum()) for subset in SUBSETS])},
        coords={"subset": list(SUBSETS), "label": list(LABELS)},
    )
