"""The second paper's networks: sizes it states, batches of its code, and what is scaled."""

from pathlib import Path

import pytest
import xarray as xr

import grokinterp as gi
from analyses.efficiency import stability
from analyses.efficiency.settings import (
    NETWORKS,
    SIZES,
    check_classes,
    grid,
    network,
    seeded,
    with_fraction,
)
from analyses.efficiency.stability.runs import setting_of

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("name", "published"), [("transformer", 394_240), ("lstm", 264_192), ("mlp", 258_543)]
)
def test_parameters_of_the_published_networks(name: str, published: int) -> None:
    """Without embedding and unembedding (of the MLP, whose read-out is a layer, the embedding)."""
    model = gi.build_model(network(name, "published"))
    count = sum(weight.numel() for weight in model.parameters())
    tables = 1 if name == "mlp" else 2
    assert count - tables * 239 * 128 == published


def test_batches_are_those_of_the_code() -> None:
    """min(512, half of the pairs, rounded up): 6, 10 and 13 steps per epoch at 30, 50 and 70 %."""
    config = network("mlp", "published")
    for fraction, steps in ((0.3, 6), (0.5, 10), (0.7, 13)):
        data = with_fraction(config, fraction)
        assert data.training.batch_size == 512
        assert -(-data.data.n_train // 512) == steps
    assert with_fraction(config, 0.05).training.batch_size == 235  # of 470 pairs
    small = with_fraction(network("mlp", "small"), 0.5)
    assert small.training.batch_size == round(512 * 43**2 / 97**2)


def test_the_small_transformer_is_the_one_that_the_search_takes() -> None:
    found = xr.load_dataset(DOCS / "stability.nc", engine="h5netcdf")
    taken = stability.chosen(found)
    assert taken is not None
    assert setting_of(network("transformer", "small")) == tuple(taken.values())
    for size in ("tiny", "small"):
        assert network("transformer", size).model.normalization_type is None


def test_all_sizes_and_networks_can_be_built() -> None:
    for size in SIZES:
        for name in NETWORKS:
            config = seeded(network(name, size), 3)
            assert (config.seed, config.data.seed) == (3, 3)
            assert config.data.train_fraction == 0.5
            classes = config.model.d_vocab_out or config.data.p
            logits = gi.build_model(config)(gi.make_dataset(config.data).tokens[:2])
            assert logits.shape == (2, classes)
    with pytest.raises(ValueError, match="name='rnn' is unknown"):
        network("rnn", "small")
    with pytest.raises(ValueError, match="size='large' is unknown"):
        network("mlp", "large")


def test_a_set_with_fewer_pairs_than_classes_is_refused() -> None:
    config = network("mlp", "tiny")
    with pytest.raises(ValueError, match=r"0\.07 leaves 11 pairs, fewer than the 13 classes"):
        check_classes(with_fraction(config, 0.07))
    with pytest.raises(ValueError, match=r"0\.07 leaves 11 pairs"):
        grid({"mlp": config}, (0.3, 0.07), 1)
    check_classes(with_fraction(config, 0.08))
