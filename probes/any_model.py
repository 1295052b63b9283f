"""The probes of periodicity, read off any network that has a :class:`~probes.surface.Surface`.

Everywhere ``model`` is a network that knows its task, or a surface made for one that does not;
``operation`` names the task, in whose basis everything is measured; by default it is the one that
the network was built for. A network that does not know it needs it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from grokinterp._checks import check_names
from grokinterp.tasks import Operation, operation_table
from probes._probe import probe
from probes.alive import ALIVE
from probes.embedding import TableSpectrum, table_spectrum
from probes.key_frequencies import FrequencyScores, frequency_scores, key_frequencies
from probes.logit_spectrum import LogitSpectrum, logit_spectrum
from probes.neuron_spectrum import NeuronSpectrum, neuron_spectrum
from probes.surface import surface


@probe
def model_table_spectra(
    model: Any, operation: Operation | None = None, *, alive_from: float = ALIVE
) -> dict[str, TableSpectrum]:
    """:func:`probes.table_spectrum` of each embedding, and of ``W_U`` if there is one."""
    network = surface(model)
    basis = network.basis(operation)
    tables = dict(network.embeddings)
    if network.unembedding is not None:
        tables["W_U"] = network.unembedding.T
    return {
        name: table_spectrum(table, basis, alive_from=alive_from) for name, table in tables.items()
    }


@probe
def model_neuron_spectra(
    model: Any,
    operation: Operation | None = None,
    *,
    hooks: Sequence[str] | None = None,
    alive_from: float = ALIVE,
) -> dict[str, NeuronSpectrum]:
    """:func:`probes.neuron_spectrum` at each hook point, at the last position of the sequence.

    Args:
        model: see above.
        operation: see above.
        hooks: names of hook points; every layer's neurons by default.
        alive_from: as in :func:`probes.neuron_spectrum`.

    Raises:
        ValueError: no hooks given, and the model has none whose name says that it holds neurons.
    """
    network = surface(model)
    basis = network.basis(operation)
    hooks = network.neuron_hooks if hooks is None else hooks
    check_names("hooks", hooks)
    if not hooks:
        raise ValueError(
            f"{type(network.model).__name__} has no hook point named *.hook_post; "
            f"give hooks=[...], from: {', '.join(network.model.hook_dict)}"
        )
    return {
        hook: neuron_spectrum(network.neurons(hook), basis, alive_from=alive_from) for hook in hooks
    }


@probe
def model_logit_spectrum(model: Any, operation: Operation | None = None) -> LogitSpectrum:
    """:func:`probes.logit_spectrum` of a network."""
    network = surface(model)
    return logit_spectrum(network.logits(), network.basis(operation))


@probe
def model_key_frequencies(model: Any, operation: Operation | None = None) -> list[int]:
    """:func:`probes.key_frequencies` of a network, by its logits."""
    return key_frequencies(model_logit_spectrum(model, operation))


@probe
def model_frequency_scores(
    model: Any,
    operation: Operation | None = None,
    *,
    frequencies: Iterable[int] | None = None,
    mask: Bool[Tensor, " pair"] | None = None,
    kind: str = "cross_entropy",
) -> FrequencyScores:
    """:func:`probes.frequency_scores` of a network against the task's true labels.

    Args:
        model: see above.
        operation: see above.
        frequencies: key frequencies; chosen by :func:`probes.key_frequencies` by default.
        mask: pairs to score, in lexicographic order; all by default.
        kind: of loss.
    """
    network = surface(model)
    basis, logits = network.basis(operation), network.logits()
    if frequencies is None:
        frequencies = key_frequencies(logit_spectrum(logits, basis))
    labels = operation_table(network.operation(operation), network.p).flatten()
    return frequency_scores(logits, labels, basis, frequencies, mask=mask, kind=kind)
