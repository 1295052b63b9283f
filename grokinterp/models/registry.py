"""All architectures, a user's own included, by their names in saved files."""

from grokinterp.checks import check_text
from grokinterp.models.base import HookedModel
from grokinterp.models.embedding_mlp import HookedEmbeddingMLP
from grokinterp.models.lstm import HookedLSTM
from grokinterp.models.mlp import HookedMLP
from grokinterp.models.transformer import HookedTransformer
from grokinterp.short_text import short

# By name in saved files.
MODELS: dict[str, type[HookedModel]] = {
    "mlp": HookedMLP,
    "embedding_mlp": HookedEmbeddingMLP,
    "transformer": HookedTransformer,
    "lstm": HookedLSTM,
}


def register_model(kind: str, model: type[HookedModel]) -> None:
    """Let runs use an architecture of your own.

    Args:
        kind: its name in saved configs.
        model: a :class:`~grokinterp.models.HookedModel` that is built as
            ``model(config, p=..., seed=...)`` and has a frozen dataclass as its ``config_class``.
            It should draw its weights from a generator made from ``seed``, in a fixed dtype: with
            torch's global generator or default dtype, runs would not be reproducible.

    Raises:
        TypeError: not such a class.
        ValueError: the name or the config class belongs to another architecture.

    Registering a class again, as when a notebook cell is run twice, replaces it. Worker processes
    of a sweep must register it too: do so in a module that they import.

    Examples:
        >>> import dataclasses
        >>> import grokinterp as gi
        >>> import torch
        >>> @dataclasses.dataclass(frozen=True)
        ... class LookUpConfig:
        ...     scale: float = 0.1
        >>> class LookUp(gi.HookedModel):  # a row of logits for every pair: it can only memorise
        ...     config_class = LookUpConfig
        ...     def __init__(self, config, *, p, seed=0):
        ...         super().__init__(config, p=p)
        ...         rng = torch.Generator().manual_seed(seed)
        ...         start = config.scale * torch.randn(p, p, p, generator=rng)
        ...         self.W = torch.nn.Parameter(start)
        ...         self.setup()
        ...     def logits(self, tokens):
        ...         return self.W[tokens[:, 0], tokens[:, 1]]
        >>> gi.register_model("look-up", LookUp)
        >>> config = gi.RunConfig(model=LookUpConfig())
        >>> run = gi.train(config.replace({"data.p": 7, "training.steps": 100}))
        >>> last = run.history.isel(step=-1)
        >>> last.train_accuracy.item(), last.test_accuracy.item() < 0.5
        (1.0, True)
    """
    check_text("kind", kind, example="look-up")
    if not (isinstance(model, type) and issubclass(model, HookedModel)):
        raise TypeError(f"model must be a subclass of HookedModel, got {short(model)}")
    config = getattr(model, "config_class", None)
    parameters = getattr(config, "__dataclass_params__", None)  # None: not a dataclass
    if not isinstance(config, type) or parameters is None or not parameters.frozen:
        raise TypeError(
            f"{model.__name__}.config_class must be a frozen dataclass, got {short(config)}; "
            "write @dataclass(frozen=True, kw_only=True)"
        )
    taken = MODELS.get(kind, model)
    if (taken.__module__, taken.__qualname__) != (model.__module__, model.__qualname__):
        raise ValueError(
            f"kind={short(kind)} is taken by {MODELS[kind].__name__}; choose another name"
        )
    for name, other in MODELS.items():
        if name != kind and other.config_class is config:
            raise ValueError(
                f"{model.__name__} has the config_class of {other.__name__}, so a config "
                "would not say which of them it means; give it a dataclass of its own"
            )
    MODELS[kind] = model


def model_kind(config: object) -> str:
    """The name in ``MODELS`` of the architecture to which a config belongs."""
    return next(kind for kind, model in MODELS.items() if type(config) is model.config_class)


def model_class(config: object) -> type[HookedModel]:
    """The network class to which a config belongs."""
    return MODELS[model_kind(config)]
