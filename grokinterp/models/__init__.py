"""Hooked networks, their configs and initialisations.

Examples:
    >>> import grokinterp as gi
    >>> from grokinterp import models
    >>> for config in models.MLPConfig(), models.TransformerConfig(), models.EmbeddingMLPConfig():
    ...     model = gi.build_model(gi.RunConfig(model=config))
    ...     print(model.description, list(model.list_units()))
    MLP 1x500 square ['frequencies', 'neurons.0']
    Transformer 1x128 relu ['frequencies', 'heads.0', 'neurons.0']
    EmbeddingMLP 256-256 relu ['frequencies', 'neurons.0', 'neurons.1']
"""

from grokinterp.models.base import HookedModel
from grokinterp.models.closed_form import closed_form_mlp
from grokinterp.models.embedding_mlp import EmbeddingMLPConfig, HookedEmbeddingMLP
from grokinterp.models.hooked_module import HookedModule
from grokinterp.models.loading import from_transformer_lens
from grokinterp.models.lstm import HookedLSTM, LSTMConfig
from grokinterp.models.mlp import HookedMLP, MLPConfig
from grokinterp.models.nanda2023 import SnapshotsOfTraining, load_nanda2023
from grokinterp.models.transformer import HookedTransformer
from grokinterp.models.transformer_config import TransformerConfig
from grokinterp.models.wrapped import WrappedModule
from grokinterp.models.zhong2023 import load_zhong2023

__all__ = [
    "EmbeddingMLPConfig",
    "HookedEmbeddingMLP",
    "HookedLSTM",
    "HookedMLP",
    "HookedModel",
    "HookedModule",
    "HookedTransformer",
    "LSTMConfig",
    "MLPConfig",
    "SnapshotsOfTraining",
    "TransformerConfig",
    "WrappedModule",
    "closed_form_mlp",
    "from_transformer_lens",
    "load_nanda2023",
    "load_zhong2023",
]
