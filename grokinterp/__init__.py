"""Train small networks on modular arithmetic, with clean or corrupted labels, and study them."""

from grokinterp import models
from grokinterp.checkpoints import Checkpoint
from grokinterp.config import RunConfig, TrainConfig, build_model
from grokinterp.data import DataConfig, Dataset, make_dataset
from grokinterp.frequencies import filter_frequencies, filtered_embedding
from grokinterp.interventions import ablate, ablate_heads, highest, lowest, patch, scale
from grokinterp.models import (
    EmbeddingMLPConfig,
    HookedEmbeddingMLP,
    HookedLSTM,
    HookedMLP,
    HookedModel,
    HookedModule,
    HookedTransformer,
    LSTMConfig,
    MLPConfig,
    TransformerConfig,
    closed_form_mlp,
    from_transformer_lens,
    load_nanda2023,
    load_zhong2023,
)
from grokinterp.models.registry import register_model
from grokinterp.models.wrapped import wrap
from grokinterp.printed_figures import save_figure
from grokinterp.runs import Run, RunFolderError
from grokinterp.sweeps import MeasureError, SweepExecutorError, SweepStoreError, open_sweep, sweep
from grokinterp.tasks import Table, operation_table
from grokinterp.training.as_run import as_run
from grokinterp.training.divergence import DivergenceWarning
from grokinterp.training.interrupt import TrainingInterrupted
from grokinterp.training.rules import at_step, reached
from grokinterp.training.trainer import train, train_many
from grokinterp.training.zero_loss import ZeroLossWarning

__all__ = [
    "Checkpoint",
    "DataConfig",
    "Dataset",
    "DivergenceWarning",
    "EmbeddingMLPConfig",
    "HookedEmbeddingMLP",
    "HookedLSTM",
    "HookedMLP",
    "HookedModel",
    "HookedModule",
    "HookedTransformer",
    "LSTMConfig",
    "MLPConfig",
    "MeasureError",
    "Run",
    "RunConfig",
    "RunFolderError",
    "SweepExecutorError",
    "SweepStoreError",
    "Table",
    "TrainConfig",
    "TrainingInterrupted",
    "TransformerConfig",
    "ZeroLossWarning",
    "ablate",
    "ablate_heads",
    "as_run",
    "at_step",
    "build_model",
    "closed_form_mlp",
    "filter_frequencies",
    "filtered_embedding",
    "from_transformer_lens",
    "highest",
    "load_nanda2023",
    "load_zhong2023",
    "lowest",
    "make_dataset",
    "models",
    "open_sweep",
    "operation_table",
    "patch",
    "reached",
    "register_model",
    "save_figure",
    "scale",
    "sweep",
    "train",
    "train_many",
    "wrap",
]
