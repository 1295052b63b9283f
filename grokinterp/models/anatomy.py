"""What a network tells about itself: where its tables, neurons and read-out are.

Probes and analyses ask these questions and never look at a network's class. Every network of
``grokinterp.models`` is an :class:`Anatomy`; :func:`anatomy` makes one for any other object.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from grokinterp.basis import has_basis
from grokinterp.models.read_out import Part, ReadOut
from grokinterp.models.units import FREQUENCIES, UnitHooks
from grokinterp.tasks import Operation


class Anatomy:
    """The questions, with answers for a network that uses TransformerLens' names.

    These names are ``W_E`` for the input tables, ``W_U`` and ``b_U`` for the read-out and
    ``*.hook_post`` for neurons. An architecture overrides the answers in which it differs. All
    tensors are the weights themselves, not copies.
    """

    # The task that it was built for, where that is known: probes measure in its basis.
    operation: Operation | None = None

    @property
    def template(self) -> str | None:
        """How it writes a pair as a sequence of tokens, such as "a b ="; None if it reads none.

        See :class:`~grokinterp.models.prompt.Prompt`.
        """
        return None

    @property
    def input_tables(self) -> Mapping[str, Float[Tensor, "vocab d"]]:
        """The vectors that tokens enter the network as; the rows 0..p-1 are the residues'.

        ``{"W_E": table}`` if the operands share a table, ``{"W_E[0]": first, "W_E[1]": second}``
        if each has its own, and nothing for a network without known tables.
        """
        return _named_W_E(self)

    @property
    def operands_share_input(self) -> bool:
        """Whether one set of weights reads both operands, from one table of vectors.

        Only then do both operands' vectors, and gradients of them, live in one space.
        """
        return len(self.input_tables) < 2

    @property
    def input_weights(self) -> Sequence[Float[Tensor, "p neuron"]]:
        """What each residue adds to the first layer's neurons, before their nonlinearity.

        One tensor per operand, or one for both where they share it. Empty if the first layer's
        neurons do not see a sum of one vector per operand, as behind attention.
        """
        return ()

    @property
    def neuron_hooks(self) -> Sequence[Sequence[str]]:
        """For each layer, the hook points of its neurons, after their nonlinearity.

        One hook point per layer, or one per step of a recurrent layer, the last step last. Their
        activations are [batch, neuron] or [batch, pos, neuron].
        """
        return [[name] for name in _hook_dict(self) if name.split(".")[-1] == "hook_post"]

    @property
    def unit_hooks(self) -> Mapping[str, UnitHooks]:
        """Where the parts are that can be taken out one by one, in the order of computation.

        By name: "neurons.0", "heads.0", ... of each layer, and "frequencies" of the embedding,
        where the network has a ``hook_embed`` behind input tables and a task with frequencies.
        """
        names = list(_hook_dict(self))
        found = {f"neurons.{i}": UnitHooks(tuple(at)) for i, at in enumerate(self.neuron_hooks)}
        heads = [name for name in names if name.split(".")[-1] == "hook_z"]
        found |= {f"heads.{i}": UnitHooks((name,), axis=-2) for i, name in enumerate(heads)}
        periodic = has_basis(self.operation, getattr(self, "p", None))
        if periodic and self.input_tables and "hook_embed" in names:
            found[FREQUENCIES] = UnitHooks(("hook_embed",))
        return dict(sorted(found.items(), key=lambda item: names.index(item[1].hooks[0])))

    @property
    def gains(self) -> Mapping[int, str]:
        """The parameter, [neuron], with which a norm behind a layer's neurons multiplies them.

        By layer, as in ``neuron_hooks``; nothing for a layer without a norm behind its neurons.
        """
        return {}

    @property
    def read_out(self) -> ReadOut | None:
        """The last linear map, from ``x`` [batch, d] to the classes' logits; None if unknown."""
        return _named_W_U(self, self)

    @property
    def direct_path(self) -> Sequence[Part]:
        """What is added up to the read-out's input, from the read-out back to the inputs.

        Everything in front of a :class:`~grokinterp.models.read_out.Norm` passes through it.
        Empty for a network whose read-out's input is no such sum.
        """
        return ()

    @property
    def used_rows(self) -> Mapping[str, int]:
        """How many of a parameter's first rows the task uses, where it does not use all.

        By the parameter's name: embeddings of tokens that are not in the prompt, and of positions
        behind its end, never get a gradient.
        """
        return {}

    @property
    def scale_powers(self) -> Mapping[str, Sequence[int]] | None:
        """How the network's layers can be scaled against each other without changing the logits.

        Multiply the layers before the read-out by any factors c_1, c_2, ... > 0. A parameter whose
        value here is (k_1, k_2, ...) must then be multiplied by c_1^k_1 c_2^k_2 ..., for the
        function to stay. So a relu network without biases and with one hidden layer has
        ``{"W_E": (1,), "W_U": (-1,)}``. None if there are no such factors.
        """
        return None

    @property
    def description(self) -> str:
        """One line on its kind and size, such as "MLP 1x500 square"."""
        return type(self).__name__


class ForeignAnatomy(Anatomy):
    """The answers for an object that is no ``HookedModel``, by TransformerLens' names.

    Args:
        model: anything with some of the attributes ``W_E``, ``W_U``, ``b_U``, ``hook_dict``,
            ``cfg`` and ``operation``.
    """

    def __init__(self, model: Any) -> None:
        self.operation = getattr(model, "operation", None)
        self._model, self.hook_dict = model, getattr(model, "hook_dict", {})

    @property
    def input_tables(self) -> Mapping[str, Tensor]:
        """``W_E``: should be [vocab, d], or [2, vocab, d] with a table per operand."""
        return _named_W_E(self._model)

    def named_parameters(self) -> Iterable[tuple[str, Tensor]]:
        """Those of the model, if it is a module."""
        return self._model.named_parameters() if isinstance(self._model, nn.Module) else ()

    @property
    def operands_share_input(self) -> bool:
        """As far as the tables tell; a model may also say so itself."""
        return super().operands_share_input and getattr(self._model, "operands_share_input", True)

    @property
    def read_out(self) -> ReadOut | None:
        """``W_U`` and ``b_U``."""
        hook = "unembed.hook_in" if "unembed.hook_in" in self.hook_dict else None
        return _named_W_U(self, self._model, hook)

    @property
    def description(self) -> str:
        """Its class and, of a TransformerLens config, "LAYERSxWIDTH", neurons and norm."""
        config = getattr(self._model, "cfg", None)
        size, width = "", getattr(config, "d_model", None)
        if width is not None:
            size = f"{getattr(config, 'n_layers', None) or 1}x{width}"
        words = (getattr(config, name, None) for name in ("act_fn", "normalization_type"))
        return words_on(type(self._model), size, *words)


def anatomy(model: Any) -> Anatomy:
    """Who answers for a network: itself, or its foreign anatomy."""
    return model if isinstance(model, Anatomy) else ForeignAnatomy(model)


def _named_W_E(model: object) -> dict[str, Tensor]:
    """The tables in an attribute ``W_E``, [vocab, d] or [2, vocab, d]; none if there is none."""
    W_E = getattr(model, "W_E", None)
    if not isinstance(W_E, Tensor):
        return {}
    if W_E.ndim == 3 and len(W_E) == 2:
        return {f"W_E[{operand}]": table for operand, table in enumerate(W_E)}
    return {"W_E": W_E}


def _named_W_U(network: Anatomy, model: object, hook: str | None = None) -> ReadOut | None:
    """The read-out in a model's attributes ``W_U`` and ``b_U``; None if there is no ``W_U``."""
    W_U, b_U = getattr(model, "W_U", None), getattr(model, "b_U", None)
    if not isinstance(W_U, Tensor):
        return None
    return ReadOut.of(network, W_U, b_U if isinstance(b_U, Tensor) else None, hook=hook)


def words_on(kind: type, *words: object) -> str:
    """A class's name without "Hooked", and further words; None and "" are left out."""
    return " ".join(str(word) for word in (kind.__name__.removeprefix("Hooked"), *words) if word)


def _hook_dict(model: Any) -> Mapping[str, nn.Module]:
    return model.hook_dict
