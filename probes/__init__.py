"""Read-only measurements of networks: tensors in, frozen results out.

Of a NumPy array take ``torch.as_tensor(array)``: where a tensor is wanted, an array is refused.
"""

from probes.alive import is_dead
from probes.any_model import (
    model_frequency_scores,
    model_key_frequencies,
    model_logit_spectrum,
    model_neuron_spectra,
    model_table_spectra,
)
from probes.attribution import LogitAttribution, logit_attribution, neuron_attribution
from probes.basis import Basis, task_basis
from probes.circularity import Circularity, circularity, model_circularity
from probes.clock_pizza import ClockOrPizza, clock_or_pizza, model_clock_or_pizza
from probes.distance import distance_irrelevance, model_distance_irrelevance
from probes.embedding import TableSpectrum, table_spectrum
from probes.fourier import (
    DominantMode,
    dominant_mode,
    fourier_basis,
    power_shares,
    power_spectrum,
)
from probes.gamma import Correlation, GammaIPR, gamma_ipr, model_gamma_ipr
from probes.gini import gini, spectrum_gini
from probes.ipr import NeuronIPR, ipr, neuron_ipr
from probes.key_frequencies import (
    FrequencyScores,
    excluded_logits,
    frequency_scores,
    key_frequencies,
    restricted_logits,
)
from probes.logit_spectrum import LogitSpectrum, logit_spectrum
from probes.mlp import (
    NeuronWeights,
    mean_ipr,
    model_neuron_attribution,
    model_neuron_ipr,
    model_neuron_norms,
    neuron_weights,
)
from probes.neuron_spectrum import NeuronSpectrum, neuron_spectrum
from probes.norms import neuron_norms, weight_norms
from probes.pruning import pruning_curve
from probes.scores import accuracy, loss, subset_accuracy, subset_scores
from probes.surface import Surface, surface
from probes.symmetricity import GradientSymmetricity, gradient_symmetricity

__all__ = [
    "Basis",
    "Circularity",
    "ClockOrPizza",
    "Correlation",
    "DominantMode",
    "FrequencyScores",
    "GammaIPR",
    "GradientSymmetricity",
    "LogitAttribution",
    "LogitSpectrum",
    "NeuronIPR",
    "NeuronSpectrum",
    "NeuronWeights",
    "Surface",
    "TableSpectrum",
    "accuracy",
    "circularity",
    "clock_or_pizza",
    "distance_irrelevance",
    "dominant_mode",
    "excluded_logits",
    "fourier_basis",
    "frequency_scores",
    "gamma_ipr",
    "gini",
    "gradient_symmetricity",
    "ipr",
    "is_dead",
    "key_frequencies",
    "logit_attribution",
    "logit_spectrum",
    "loss",
    "mean_ipr",
    "model_circularity",
    "model_clock_or_pizza",
    "model_distance_irrelevance",
    "model_frequency_scores",
    "model_gamma_ipr",
    "model_key_frequencies",
    "model_logit_spectrum",
    "model_neuron_attribution",
    "model_neuron_ipr",
    "model_neuron_norms",
    "model_neuron_spectra",
    "model_table_spectra",
    "neuron_attribution",
    "neuron_ipr",
    "neuron_norms",
    "neuron_spectrum",
    "neuron_weights",
    "power_shares",
    "power_spectrum",
    "pruning_curve",
    "restricted_logits",
    "spectrum_gini",
    "subset_accuracy",
    "subset_scores",
    "surface",
    "table_spectrum",
    "task_basis",
    "weight_norms",
]
