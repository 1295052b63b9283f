"""What logits say on each kind of example: at the label that was given, and at the true one."""

import numpy as np
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from grokinterp import Dataset
from grokinterp.data import SUBSETS
from probes import accuracy
from probes.margins import label_logits, label_margins

LABELS = ("given", "true")  # they differ on changed examples alone


def label_scores(logits: Float[Tensor, "pair classes"], dataset: Dataset) -> xr.Dataset:
    """Accuracy, logits and margins on each subset of the examples.

    Args:
        logits: of all p * p pairs, in the dataset's order; at least p classes, and all of them may
            win.
        dataset: whose labels and subsets.

    Returns:
        Dataset over ("subset", "label"), the latter "given" or "true": ``accuracy``, and of the
        logit at the label (before any softmax) and of its margin over the largest other class
        ``mean_logit``, ``median_logit``, ``mean_margin`` and ``median_margin``. Over "subset": how
        many examples, ``n_examples``. An empty subset has NaN.

    Raises:
        ValueError: logits of other pairs, or of fewer classes.
    """
    if len(logits) != len(dataset.labels) or logits.shape[1] < dataset.p:
        raise ValueError(
            f"the dataset has {len(dataset.labels)} pairs of {dataset.p} residues, but logits are "
            f"{list(logits.shape)}; use the dataset that the network was made for"
        )
    names = ("accuracy", "mean_logit", "median_logit", "mean_margin", "median_margin")
    found = np.full((len(names), len(SUBSETS), len(LABELS)), np.nan)
    for j, labels in enumerate((dataset.labels, dataset.clean_labels)):
        at_label, margin = label_logits(logits, labels), label_margins(logits, labels)
        for i, subset in enumerate(SUBSETS):
            mask = dataset.masks[subset]
            if mask.any():
                values = [at_label[mask].numpy(), margin[mask].numpy()]
                averages = [average(of) for of in values for average in (np.mean, np.median)]
                found[:, i, j] = [accuracy(logits, labels, mask), *averages]
    return xr.Dataset(
        {name: (("subset", "label"), values) for name, values in zip(names, found, strict=True)}
        | {"n_examples": ("subset", [int(dataset.masks[subset].sum()) for subset in SUBSETS])},
        coords={"subset": list(SUBSETS), "label": list(LABELS)},
    )
