"""Hooked networks, their configs and initialisations."""

from grokinterp.models.closed_form import closed_form_mlp
from grokinterp.models.mlp import HookedMLP, MLPConfig

__all__ = ["HookedMLP", "MLPConfig", "closed_form_mlp"]
