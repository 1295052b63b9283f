"""A network's memorising and generalising neurons as two networks."""

import grokinterp as gi
from analyses.efficiency.circuits.circuits import Circuit
from analyses.one_run.phases import EndPoint, Phase, Thresholds, phase_of
from grokinterp.checks import check_number
from grokinterp.models import HookedModel
from grokinterp.session import unaffected
from probes import model_neuron_ipr
from probes.halves import best_cut, check_has_halves, halves


@unaffected()
def split(run: gi.Run, threshold: float | None = None) -> dict[str, Circuit]:
    """The two halves of a network as circuits, by kind; their logits add up to the network's.

    Args:
        run: a run in Coexistence of an MLP on one-hot pairs with one hidden layer and no norm.
        threshold: neurons with a larger IPR generalise, all others memorise, dead neurons among
            them; None uses :func:`probes.halves.best_cut`.

    Raises:
        TypeError: another kind of network.
        ValueError: more than one hidden layer, a norm, a phase other than Coexistence (the message
            has its numbers), or a threshold that leaves a half without neurons.
        CircuitError: a half does not memorise the changed labels, or does not generalise.
    """
    network = divisible_network(run)
    cut = cut_of(network, threshold)
    return {
        kind: Circuit(
            kind=kind,
            source=f"neurons with IPR {'>' if kind == 'generalising' else '<='} {cut:.3f}",
            model=half,
            dataset=run.dataset,
            seen=run.dataset.is_train,
            definition="half",
        )
        for kind, half in halves(network, cut).items()
    }


def divisible_network(run: gi.Run) -> HookedModel:
    """The run's network; raises if it cannot be split."""
    check_has_halves(run.model)
    end = EndPoint.of(run)
    phase = phase_of(end)
    if phase != Phase.COEXISTENCE:
        raise ValueError(
            f"only a network in Coexistence has two halves; this one is in {phase.value!r}: "
            f"validation accuracy {end.test:.3f}, {end.changed:.3f} on {end.n_changed} changed "
            f"labels, and both must be at least {Thresholds().learned}. Train with "
            "data.corruption > 0 and without weight decay"
        )
    return run.model


def cut_of(network: HookedModel, threshold: float | None) -> float:
    """The IPR to cut at: the given threshold, else the best cut."""
    if threshold is not None:
        check_number("threshold", threshold, minimum=0.0, below=1.0)
        return threshold
    return best_cut(model_neuron_ipr(network).ipr)
