"""Read-only measurements of networks: tensors in, frozen results out.

NumPy arrays are refused where a tensor is expected; pass ``torch.as_tensor(array)``.
"""

from grokinterp.basis import Basis, task_basis
from probes.alive import is_dead
from probes.attribution import (
    LogitAttribution,
    logit_attribution,
    model_neuron_attribution,
    neuron_attribution,
)
from probes.circularity import Circularity, circularity, model_circularity
from probes.clock_pizza import ClockOrPizza, clock_or_pizza, model_clock_or_pizza
from probes.distance import distance_irrelevance, model_distance_irrelevance
from probes.embedding import TableSpectrum, model_table_spectra, table_spectrum
from probes.fourier import (
    DominantMode,
    dominant_mode,
    fourier_basis,
    power_shares,
    power_spectrum,
)
from probes.gamma import Correlation, GammaIPR, gamma_ipr, model_gamma_ipr
from probes.gini import gini, spectrum_gini
from probes.halves import halves
from probes.ipr import NeuronIPR, ipr, mean_ipr, model_neuron_ipr, neuron_ipr
from probes.key_frequencies import (
    FrequencyScores,
    excluded_logits,
    frequency_scores,
    key_frequencies,
    model_frequency_scores,
    model_key_frequencies,
    restricted_logits,
)
from probes.linear_effects import EffectAgreement, effect_agreement, linear_effects
from probes.logit_parts import LogitParts, logit_parts
from probes.logit_spectrum import LogitSpectrum, logit_spectrum, model_logit_spectrum
from probes.margins import label_logits, label_margins, model_label_logits, model_label_margins
from probes.needed_norm import least_norm, matched_norm
from probes.network_on_pairs import NetworkOnPairs, network_on_pairs
from probes.neuron_norms import model_neuron_norms, neuron_norms
from probes.neuron_spectrum import NeuronSpectrum, model_neuron_spectra, neuron_spectrum
from probes.neuron_weights import NeuronWeights, neuron_weights
from probes.parameter_norms import norms_by_layer, parameter_norm, weight_norms
from probes.path_patching import PathPatching, path_patching
from probes.pruning_curve import pruning_curve
from probes.scores import accuracy, loss, scores_by_subset, subset_accuracy, subset_scores
from probes.solution_form import (
    NeuronModes,
    SolutionForm,
    model_solution_form,
    neuron_modes,
    solution_form,
)
from probes.spectral_surgery import own_frequency_weights
from probes.stationarity import Stationarity, stationarity
from probes.symmetricity import GradientSymmetricity, gradient_symmetricity
from probes.unit_effects import UnitEffects, direct_effects, exact_effects
from probes.unit_halves import UnitHalves, unit_halves
from probes.unit_norms import unit_norms
from probes.unit_periodicity import UnitPeriodicity, rank_agreement, unit_periodicity
from probes.unit_pruning import PruningCurve, unit_pruning_curve

__all__ = [
    "Basis",
    "Circularity",
    "ClockOrPizza",
    "Correlation",
    "DominantMode",
    "EffectAgreement",
    "FrequencyScores",
    "GammaIPR",
    "GradientSymmetricity",
    "LogitAttribution",
    "LogitParts",
    "LogitSpectrum",
    "NetworkOnPairs",
    "NeuronIPR",
    "NeuronModes",
    "NeuronSpectrum",
    "NeuronWeights",
    "PathPatching",
    "PruningCurve",
    "SolutionForm",
    "Stationarity",
    "TableSpectrum",
    "UnitEffects",
    "UnitHalves",
    "UnitPeriodicity",
    "accuracy",
    "circularity",
    "clock_or_pizza",
    "direct_effects",
    "distance_irrelevance",
    "dominant_mode",
    "effect_agreement",
    "exact_effects",
    "excluded_logits",
    "fourier_basis",
    "frequency_scores",
    "gamma_ipr",
    "gini",
    "gradient_symmetricity",
    "halves",
    "ipr",
    "is_dead",
    "key_frequencies",
    "label_logits",
    "label_margins",
    "least_norm",
    "linear_effects",
    "logit_attribution",
    "logit_parts",
    "logit_spectrum",
    "loss",
    "matched_norm",
    "mean_ipr",
    "model_circularity",
    "model_clock_or_pizza",
    "model_distance_irrelevance",
    "model_frequency_scores",
    "model_gamma_ipr",
    "model_key_frequencies",
    "model_label_logits",
    "model_label_margins",
    "model_logit_spectrum",
    "model_neuron_attribution",
    "model_neuron_ipr",
    "model_neuron_norms",
    "model_neuron_spectra",
    "model_solution_form",
    "model_table_spectra",
    "network_on_pairs",
    "neuron_attribution",
    "neuron_ipr",
    "neuron_modes",
    "neuron_norms",
    "neuron_spectrum",
    "neuron_weights",
    "norms_by_layer",
    "own_frequency_weights",
    "parameter_norm",
    "path_patching",
    "power_shares",
    "power_spectrum",
    "pruning_curve",
    "rank_agreement",
    "restricted_logits",
    "scores_by_subset",
    "solution_form",
    "spectrum_gini",
    "stationarity",
    "subset_accuracy",
    "subset_scores",
    "table_spectrum",
    "task_basis",
    "unit_halves",
    "unit_norms",
    "unit_periodicity",
    "unit_pruning_curve",
    "weight_norms",
]
