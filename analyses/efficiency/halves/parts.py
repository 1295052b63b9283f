"""A network's memorising and generalising units as two networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Bool, Float
from torch import Tensor

import grokinterp as gi
from analyses.efficiency.circuits.circuits import Circuit
from analyses.one_run.phases import EndPoint, Phase, Thresholds, phase_of
from grokinterp.checks import check_number
from grokinterp.models import HookedModel
from grokinterp.models.units import WORDS, kind_of
from grokinterp.session import unaffected
from grokinterp.short_text import short_repr
from probes import UnitHalves, unit_halves, unit_periodicity
from probes.halves import above, best_cut

UNIT = "neurons.0"


@unaffected()
def split(
    run: gi.Run,
    threshold: float | None = None,
    *,
    unit: str = UNIT,
    definition: str | None = None,
    mode: str = "zero",
) -> dict[str, Circuit]:
    """The two halves of a network as circuits, by kind.

    Where the logits are a sum over the units, those of the halves add up to the network's and,
    once more, what is left without any of the units; see :func:`probes.unit_halves`.

    Args:
        run: a run in Coexistence.
        threshold: units with a larger periodicity generalise, all others memorise, dead ones among
            them; None uses :func:`probes.halves.best_cut`.
        unit: name of the units, as ``run.model.list_units()`` lists them.
        definition: of periodicity, see :func:`probes.unit_periodicity`; None uses the first that
            these units have, "ipr" for a network with one hidden layer.
        mode: what removed activations are: "zero", or their "mean" over all pairs.

    Raises:
        ValueError: the network lacks these units, or they have no periodicity; a phase other than
            Coexistence (the message has its numbers); a threshold that leaves a half without units.
        CircuitError: a half does not memorise the changed labels, or does not generalise.
    """
    division = Division.of(run, threshold, unit=unit, definition=definition, mode=mode)
    return {
        kind: Circuit(
            kind=kind,
            source=division.source(kind),
            model=half,
            dataset=run.dataset,
            seen=run.dataset.is_train,
            definition="half",
        )
        for kind, half in division.parts.items()
    }


@short_repr
@dataclass(frozen=True, eq=False, kw_only=True)
class Division:
    """A network cut in two at a periodicity of its units."""

    network: HookedModel
    unit: str
    mode: str
    definition: str
    score: Float[Tensor, " unit"]  # periodicity; NaN for a dead unit
    cut: float

    @classmethod
    def of(
        cls,
        run: gi.Run,
        threshold: float | None,
        *,
        unit: str,
        definition: str | None,
        mode: str,
    ) -> "Division":
        """Of a run in Coexistence; arguments and errors as for :func:`split`."""
        _check_coexistence(run)
        found = unit_periodicity(run.model, unit, definition).scores
        name, score = next(iter(found.items()))
        if threshold is None:
            threshold = best_cut(score)
        else:
            check_number("threshold", threshold, minimum=0.0, below=1.0)
        above(score, threshold, _words(unit), name)
        return cls(
            network=run.model, unit=unit, mode=mode, definition=name, score=score, cut=threshold
        )

    def generalising(self, cut: float) -> Bool[Tensor, " unit"]:
        """Which units generalise at another cut; never a dead one, whose score is NaN."""
        return self.score > cut

    @cached_property
    def halves(self) -> UnitHalves:
        """The two networks, and how far their logits add up."""
        return unit_halves(
            self.network, self.generalising(self.cut), unit=self.unit, mode=self.mode
        )

    @property
    def parts(self) -> Mapping[str, HookedModel]:
        """The two networks by kind."""
        return self.halves.parts

    def source(self, kind: str) -> str:
        """Which units a half has, for people."""
        name = "IPR" if self.definition == "ipr" else self.definition
        sign = ">" if kind == "generalising" else "<="
        return f"{_words(self.unit)} with {name} {sign} {self.cut:.3f}"


def _words(unit: str) -> str:
    return "neurons" if unit == UNIT else f"{WORDS[kind_of(unit)][0]} ({unit})"


def _check_coexistence(run: gi.Run) -> None:
    """Raise unless a network has learned the rule and its wrong labels."""
    end = EndPoint.of(run)
    phase = phase_of(end)
    if phase != Phase.COEXISTENCE:
        raise ValueError(
            f"only a network in Coexistence has two halves; this one is in {phase.value!r}: "
            f"validation accuracy {end.test:.3f}, {end.changed:.3f} on {end.n_changed} changed "
            f"labels, and both must be at least {Thresholds().learned}. Train with "
            "data.corruption > 0 and without weight decay"
        )
