"""Read-only measurements of networks: tensors in, frozen results out."""

from probes.attribution import neuron_attribution
from probes.fourier import (
    DominantMode,
    dominant_mode,
    fourier_basis,
    is_dead,
    power_shares,
    power_spectrum,
)
from probes.gini import gini, spectrum_gini
from probes.ipr import NeuronIPR, ipr, neuron_ipr
from probes.mlp import (
    NeuronWeights,
    mean_ipr,
    model_neuron_attribution,
    model_neuron_ipr,
    model_neuron_norms,
    neuron_weights,
)
from probes.norms import neuron_norms, weight_norms
from probes.pruning import pruning_curve
from probes.scores import accuracy, loss, subset_accuracy, subset_scores

__all__ = [
    "DominantMode",
    "NeuronIPR",
    "NeuronWeights",
    "accuracy",
    "dominant_mode",
    "fourier_basis",
    "gini",
    "ipr",
    "is_dead",
    "loss",
    "mean_ipr",
    "model_neuron_attribution",
    "model_neuron_ipr",
    "model_neuron_norms",
    "neuron_attribution",
    "neuron_ipr",
    "neuron_norms",
    "neuron_weights",
    "power_shares",
    "power_spectrum",
    "pruning_curve",
    "spectrum_gini",
    "subset_accuracy",
    "subset_scores",
    "weight_norms",
]
