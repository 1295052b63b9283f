"""Every architecture by its name in saved files, a user's own among them."""

import dataclasses

from grokinterp.models.base import HookedModel
from grokinterp.models.embedding_mlp import HookedEmbeddingMLP
from grokinterp.models.lstm import HookedLSTM
from grokinterp.models.mlp import HookedMLP
from grokinterp.models.transformer import HookedTransformer
from grokinterp.short_text import short

# Every architecture: its name in saved files, and its class.
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
        model: a :class:`~grokinterp.models.HookedModel` built as ``model(config, p=..., seed=...)``
            with a frozen dataclass as its ``config_class``. It draws its weights from a generator
            of its own and names their dtype: runs with the session's would not repeat.

    Registering a class again, as when a notebook's cell is run twice, replaces it. Worker processes
    of a sweep must register it too: do so in a module that they import.
    """
    if not (isinstance(model, type) and issubclass(model, HookedModel)):
        raise TypeError(f"model must be a subclass of HookedModel, got {short(model)}")
    config = getattr(model, "config_class", None)
    frozen = isinstance(config, type) and dataclasses.is_dataclass(config) and (
        config.__dataclass_params__.frozen  # pyright: ignore[reportAttributeAccessIssue]
    )  # fmt: skip
    if not frozen:
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
                f"{model.__name__} has the config_class of {other.__name__}, so that a config "
                "would not say which of them it means; give it a dataclass of its own"
            )
    MODELS[kind] = model


def model_kind(config: object) -> str:
    """The name in ``MODELS`` of the architecture that a model's config describes."""
    return next(kind for kind, model in MODELS.items() if type(config) is model.config_class)


def model_class(config: object) -> type[HookedModel]:
    """The class of the network that a model's config describes."""
    return MODELS[model_kind(config)]
