"""A network that was trained elsewhere, and its training pairs, as a run."""

from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from jaxtyping import Int
from torch import Tensor

from grokinterp.arguments import checked
from grokinterp.checks import check_choice
from grokinterp.config import RunConfig, TrainConfig
from grokinterp.data import DataConfig, Dataset
from grokinterp.losses import LOSSES
from grokinterp.models.base import HookedModel, check_tokens, evaluated
from grokinterp.models.registry import MODELS, register_model
from grokinterp.models.wrapped import WrappedModule
from grokinterp.runs import Run
from grokinterp.session import unaffected
from grokinterp.short_text import short
from grokinterp.tasks import Operation, operation_table
from grokinterp.training.evaluation import Evaluation
from grokinterp.training.history import build_history


@dataclass(frozen=True, eq=False)
class OutsideRun(Run):
    """A run of a network that was trained elsewhere; see :func:`as_run`."""

    @property
    def ending(self) -> str:
        """Where it was trained."""
        return "trained elsewhere"

    def save(self, path: Any, *, overwrite: bool = False) -> NoReturn:
        """Refused: a folder of a run holds what is needed to train it again."""
        raise NotImplementedError(
            f"{path}: a network that was trained elsewhere has no config from which a saved run "
            "could be read back; save its weights yourself, and make the run again with gi.as_run"
        )


@unaffected()
@checked
def as_run(
    model: HookedModel,
    pairs: Int[Tensor, "example 2"],
    labels: Int[Tensor, " example"],
    *,
    operation: Operation,
    loss: str = "cross_entropy",
) -> Run:
    """A network that was trained elsewhere as a run, which analyses take.

    Its history has one row, the network's scores now, so analyses over training show one point. Its
    config holds the task and the loss; how it was trained is not known. It cannot be saved.

    Args:
        model: the network, such as one of :func:`~grokinterp.wrap`. It learns its operation if it
            has none.
        pairs: the pairs (a, b) that it was trained on, each once.
        labels: the labels that it was trained on, right or wrong ones.
        operation: the task; all other pairs of it are the test set.
        loss: of its training, as in ``TrainConfig``.

    Raises:
        TypeError: a model of another kind.
        ValueError: pairs that are no residues, or occur twice, or are all there are; labels out of
            range; or an unknown loss.

    Examples:
        >>> import grokinterp as gi
        >>> data = gi.make_dataset(gi.DataConfig(p=13))
        >>> pairs, labels = data.tokens[data.is_train], data.labels[data.is_train]
        >>> model = gi.closed_form_mlp(p=13, d_mlp=60)  # here ours; yours is one of gi.wrap
        >>> run = gi.as_run(model, pairs, labels, operation="addition")
        >>> run.history.test_accuracy.item()
        1.0
    """
    check_choice("loss", loss, LOSSES)
    p = model.p
    if p is None:
        raise TypeError("model has no p; build it for pairs, with p=...")
    if isinstance(model, WrappedModule):
        register_model("wrapped", WrappedModule)
    if type(model.cfg) not in [kind.config_class for kind in MODELS.values()]:
        raise TypeError(
            f"model is a {type(model).__name__}, which a run does not know; give a network of "
            "gi.wrap, one of gi.models, or register its class with gi.register_model"
        )
    dataset = _dataset(p, pairs.cpu(), labels.cpu(), operation)
    _check_operation(model, operation)
    n_train, n_changed = len(pairs), int(dataset.is_changed.sum())
    data = DataConfig(
        operation=operation,
        p=p,
        train_fraction=(n_train + 0.5) / p**2,  # so that rounding down gives their number
        corruption=n_changed / n_train,
    )
    training = TrainConfig(loss=loss)
    model.operation = data.operation
    return OutsideRun(
        config=RunConfig(data=data, model=model.cfg, training=training),
        dataset=dataset,
        model=model,
        history=_history(model, dataset, loss),
        provenance={"trained": "elsewhere"},
    )


def _check_operation(model: HookedModel, operation: Operation) -> None:
    """Raise if the network is known to be one of another task, by which probes would read it."""
    if model.operation is None or model.p is None:
        return
    known, asked = (operation_table(task, model.p) for task in (model.operation, operation))
    if not torch.equal(known, asked):
        raise ValueError(
            f"operation={short(operation)}, but the model's is {short(model.operation)}, by which "
            "probes and other runs of it read it; give that, or wrap the network once more"
        )


def _dataset(p: int, pairs: Tensor, labels: Tensor, operation: Operation) -> Dataset:
    check_tokens(pairs, p)
    index = pairs[:, 0].long() * p + pairs[:, 1].long()
    if len(index.unique()) != len(index):
        raise ValueError(
            f"pairs has {len(index)} rows but {len(index.unique())} different ones; give each "
            "training pair once"
        )
    if not 0 < len(index) < p**2:
        raise ValueError(
            f"pairs has {len(index)} of the {p**2} pairs, but training and test set need at least "
            "one each; give the pairs that the network was trained on"
        )
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < p:
        raise ValueError(
            f"labels must lie in 0..{p - 1}, got values from {int(labels.min())} to "
            f"{int(labels.max())}"
        )
    clean = operation_table(operation, p).flatten()
    given, is_train = clean.clone(), torch.zeros(p**2, dtype=torch.bool)
    given[index], is_train[index] = labels.long(), True
    tokens = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    # Which labels were redrawn and came out true is not known.
    changed = given != clean
    return Dataset(tokens, given, clean, is_train, is_selected=changed, is_changed=changed)


def _history(model: HookedModel, dataset: Dataset, loss: str) -> Any:
    """One row, at step 0."""
    evaluation = Evaluation([dataset], loss, device=torch.device("cpu"))
    weight = next(model.parameters(), torch.zeros(0))
    with torch.no_grad(), evaluated(model):
        logits = model(dataset.tokens.to(weight.device)).cpu()[:, : dataset.p]
    evaluation.note(0, slice(None), logits.contiguous())
    norms: dict[str, Tensor] = {
        name: tensor.detach().double().norm().cpu()[None]
        for name, tensor in model.weight_matrices(dict(model.state_dict())).items()
        if tensor.is_floating_point()
    }
    if not norms:
        raise ValueError(f"model is a {model.description} without weights, so nothing was trained")
    return build_history([0], evaluation.metrics().cpu(), norms, {})
