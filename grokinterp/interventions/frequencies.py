"""Frequencies of the embedding as units: hooks that change their part of the operands' vectors.

A frequency is no entry of an activation. Its part of an embedding is a function of the residue:
the table filtered to that frequency, read at the residue. The hooks therefore need the network's
tables and the pairs that it reads, which a ``HookedModel`` tells them.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from grokinterp.basis import Basis, task_basis
from grokinterp.interventions.chosen import Selection, other_examples
from grokinterp.models.base import HookedModel
from grokinterp.models.prompt import Prompt

ABLATIONS = ("zero", "mean", "resample")

# Maps the chosen frequencies' parts of an operand's vectors, [example, d], to what is added.
Change = Callable[[Tensor], Tensor]


class FrequencyHook:
    """A hook on ``hook_embed`` that changes the parts of some frequencies; made for one network."""

    def __init__(self, chosen: Selection, factors: Tensor, change: Change) -> None:
        self._chosen, self._factors, self._change = chosen, factors, change

    @classmethod
    def ablation(cls, chosen: Selection, mode: str, seed: int) -> "FrequencyHook":
        """The parts replaced by zero, by their mean over the batch, or by another example's."""

        def change(own: Tensor) -> Tensor:
            check_examples(mode, len(own), "more examples, such as all pairs")
            match mode:
                case "zero":
                    return -own
                case "mean":
                    return own.mean(dim=0) - own
            return own[other_examples(len(own), len(own), seed)] - own

        return cls(chosen, torch.tensor(1.0, dtype=torch.float64), change)

    @classmethod
    def scaling(cls, chosen: Selection, factors: Tensor) -> "FrequencyHook":
        """The parts multiplied, by one factor or one for each frequency."""
        return cls(chosen, factors - 1, lambda own: own)

    def for_model(self, model: HookedModel) -> Callable[[Tensor, HookPoint], Tensor]:
        """The hook function for a network.

        Raises:
            ValueError: the network has no frequencies, or not these (when the hook runs).
        """

        def put(activation: Tensor, hook: HookPoint) -> Tensor:
            assert model.pairs_read is not None
            return self.applied(model, model.pairs_read, activation)

        return put

    def applied(
        self, model: HookedModel, pairs: Int[Tensor, "batch 2"], embed: Float[Tensor, "batch pos d"]
    ) -> Float[Tensor, "batch pos d"]:
        """The embeddings of some pairs with the frequencies' parts changed."""
        assert model.operation is not None
        assert model.p is not None
        basis = task_basis(model.operation, model.p)
        operands = [0, 1] if model.template is None else Prompt(model.template, model.p).operands
        index = self._chosen.of(len(basis.frequencies), type(model).__name__)
        factors, tables = check_factors(self._factors, index), list(model.input_tables.values())
        changed = embed.clone()
        for operand, position in enumerate(operands):
            parts = _parts(tables[operand % len(tables)], basis, index, factors)
            changed[:, position] += self._change(parts[pairs[:, operand].long()])
        return changed

    def __call__(self, activation: Tensor, hook: HookPoint) -> Tensor:
        """Refused: only a network of this package says which pairs it reads."""
        raise TypeError(
            "unit='frequencies' needs a model of grokinterp, which knows its task and its pairs; "
            "use gi.filtered_embedding(model, frequencies) around the forward pass"
        )


def check_examples(mode: str, examples: int, instead: str) -> None:
    """Raise for a single example: its mean and its only resampled value are its own."""
    if mode != "zero" and examples == 1:
        raise ValueError(
            f"mode={mode!r} takes its values from the batch, which has only one example; pass "
            f"{instead}"
        )


def check_factors(factors: Tensor, index: Int[Tensor, " unit"]) -> Tensor:
    """One factor, or one per chosen unit; raise otherwise."""
    if factors.ndim and factors.shape != index.shape:
        raise ValueError(
            f"factor must be one number or one per chosen unit ({len(index)}), "
            f"got shape {list(factors.shape)}"
        )
    return factors


def _parts(
    table: Float[Tensor, "vocab d"], basis: Basis, index: Int[Tensor, " unit"], factors: Tensor
) -> Float[Tensor, "p d"]:
    """The sum of some frequencies' parts of the residues' vectors, each times its factor.

    Zero for a residue that has no place in the basis.
    """
    order = basis.order.to(table.device)
    modes = torch.fft.rfft(table[order].double(), dim=0)
    chosen = torch.zeros_like(modes)
    by = factors.to(modes.device, torch.float64).expand(len(index))
    k = index.to(modes.device) + 1
    chosen[k] = modes[k] * by[:, None]
    parts = table.new_zeros(basis.p, table.shape[1])
    return parts.index_copy(
        0, order, torch.fft.irfft(chosen, n=basis.period, dim=0).to(table.dtype)
    )
