"""The tables of hooks are what networks of other sizes have."""

from typing import Any

import pytest
import torch

import grokinterp as gi
from analyses.site.hook_tables import ARCHITECTURES, Architecture, general, hooks, weights
from grokinterp.models.registry import MODELS

P, BATCH = 13, 5
# Other sizes than those that the tables are made from. Axes -> size.
CONFIGS: dict[str, tuple[Any, dict[str, int]]] = {
    "HookedMLP": (gi.MLPConfig(d_mlp=17, n_layers=3), {"d_mlp": 17}),
    "HookedTransformer": (
        gi.TransformerConfig(n_layers=2, d_model=24, n_heads=3, d_mlp=18, normalization_type="LN"),
        {"d_model": 24, "head": 3, "d_head": 8, "d_mlp": 18, "pos": 3, "d_vocab": P + 1},
    ),
    "HookedLSTM": (
        gi.LSTMConfig(d_embed=9, d_hidden=10),
        {"d_embed": 9, "d_hidden": 10, "4 d_hidden": 40, "pos": 3, "d_vocab": P + 1},
    ),
    "HookedEmbeddingMLP": (
        gi.EmbeddingMLPConfig(d_embed=6, hidden=(19, 23)),
        {"d_embed": 6, "2 d_embed": 12, "hidden[0]": 19, "hidden[1]": 23},
    ),
}


def test_every_architecture_has_a_table() -> None:
    ours = {
        model.__name__ for model in MODELS.values() if model.__module__.startswith("grokinterp")
    } - {"WrappedModule"}  # the hooks of a network from elsewhere are its own
    assert {one.name for one in ARCHITECTURES} == ours == set(CONFIGS)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda one: one.name)
def test_tables_agree_with_a_run(architecture: Architecture) -> None:
    config, sizes = CONFIGS[architecture.name]
    model = gi.build_model(gi.RunConfig(data=gi.DataConfig(p=P), model=config)).eval()
    with torch.no_grad():
        cache = model.run_with_cache(torch.ones(BATCH, 2, dtype=torch.long))[1]
    sizes = {"batch": BATCH, "p": P, "1": 1, "2": 2} | sizes
    for tensors, lines in (
        (cache, hooks(architecture)),
        (dict(model.named_parameters()), weights(architecture)),
    ):
        table = {line.name: tuple(sizes[axis] for axis in line.axes) for line in lines}
        for name, tensor in tensors.items():
            shown = name if name in table else general(name)
            assert table[shown] == tuple(tensor.shape), name
        always = {line.name for line in lines if not line.only}
        assert always <= {*tensors, *map(general, tensors)}
