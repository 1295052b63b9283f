"""Splits and corrupted labels: the published counts, and what must hold for any config."""

import dataclasses
import itertools
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from grokinterp import DataConfig, Dataset, Table, make_dataset
from grokinterp.data import CORRUPTIONS, SUBSETS

FIELDS = ("tokens", "labels", "clean_labels", "is_train", "is_selected", "is_changed")


def same(first: Dataset, second: Dataset) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in FIELDS)


# Not st.floats, which likes the edges: nearly every draw should corrupt something.
corruptions = st.integers(0, 20).map(lambda twentieths: twentieths / 20)


@st.composite
def data_configs(draw: st.DrawFn) -> DataConfig:
    p = draw(st.integers(2, 12))
    protocol = draw(st.sampled_from(["independent", "published", "nanda2023"]))
    free = protocol != "published"
    kind = draw(st.sampled_from(CORRUPTIONS)) if free else "symmetric"
    return DataConfig(
        operation=draw(st.sampled_from(["addition", "subtraction", "multiplication", "a**2 + b"])),
        p=p,
        train_fraction=(draw(st.integers(1, p * p - 1)) + 0.5) / (p * p),
        corruption=draw(corruptions),
        corruption_kind=kind,
        second_operation="a - 3*b" if kind == "second_rule" else None,
        protocol=protocol,
        seed=draw(st.integers(0, 2**40)) if free else 0,
    )


# The paper's own data: counts from the text and the authors' code, shares from the accuracies
# that their notebook prints for a collapsed network, which always answers 0.


@pytest.mark.parametrize(
    ("alpha", "xi", "train", "selected", "changed"),
    [(0.5, 0.35, 4704, 1646, 1629), (0.65, 0.2, 6115, 1223, 1223 - 12)],
)
def test_published_counts(alpha: float, xi: float, train: int, selected: int, changed: int) -> None:
    config = DataConfig(train_fraction=alpha, corruption=xi, protocol="published")
    data = make_dataset(config)
    assert (config.n_train, config.n_selected) == (train, selected)
    assert int(data.is_train.sum()) == train
    assert int(data.is_selected.sum()) == selected
    assert int(data.is_changed.sum()) == changed


def test_published_share_of_label_zero() -> None:
    data = make_dataset(DataConfig(train_fraction=0.5, corruption=0.35, protocol="published"))
    zero = (data.labels == 0).double()
    assert zero[data.is_train].sum() == 43
    assert zero[data.is_train].mean().item() == pytest.approx(0.009141156, abs=5e-10)
    assert zero[data.is_test].mean().item() == pytest.approx(0.01083953, abs=5e-9)


@pytest.mark.parametrize(("p", "alpha", "xi"), [(97, 0.5, 0.35), (97, 0.9, 0.9), (23, 0.3, 1.0)])
def test_published_protocol_is_the_described_recipe(p: int, alpha: float, xi: float) -> None:
    """Shuffle all pairs under Python's seed 420; redraw the first labels under torch's seed 0."""
    pairs = [(m, n) for m in range(p) for n in range(p)]
    random.Random(420).shuffle(pairs)
    train = pairs[: int(alpha * p * p)]
    redrawn = train[: int(xi * len(train))]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        noise = torch.randint(0, p, (len(redrawn),)).tolist()
    labels = {(m, n): (m + n) % p for m, n in pairs} | dict(zip(redrawn, noise, strict=True))

    data = make_dataset(DataConfig(p=p, train_fraction=alpha, corruption=xi, protocol="published"))
    rows = [(int(m), int(n)) for m, n in data.tokens]
    assert {row for row, kept in zip(rows, data.is_train, strict=True) if kept} == set(train)
    assert data.labels.tolist() == [labels[row] for row in rows]


@pytest.mark.parametrize(("p", "alpha", "seed"), [(113, 0.3, 0), (7, 0.5, 0), (7, 0.5, 598)])
def test_split_of_nanda_et_al(p: int, alpha: float, seed: int) -> None:
    """Shuffle the triples (a, b, "=") under Python's seed; the first share of them are trained on.

    Noise is drawn by our generator, as in "independent", and leaves the split.
    """
    triples = [(a, b, p) for a in range(p) for b in range(p)]
    random.Random(seed).shuffle(triples)
    train = triples[: int(alpha * len(triples))]
    config = DataConfig(p=p, train_fraction=alpha, protocol="nanda2023", seed=seed)
    for corruption in (0.0, 0.2):
        data = make_dataset(dataclasses.replace(config, corruption=corruption))
        trained = [(int(a), int(b), p) for a, b in data.tokens[data.is_train]]
        assert trained == sorted(train)
        assert bool(data.is_selected.any()) == (corruption > 0)


@given(data_configs())
def test_pairs_are_in_lexicographic_order_with_true_labels(config: DataConfig) -> None:
    data, p = make_dataset(config), config.p
    pairs = list(itertools.product(range(p), repeat=2))
    rules = {
        "addition": lambda a, b: a + b,
        "subtraction": lambda a, b: a - b,
        "multiplication": lambda a, b: a * b,
        "a**2 + b": lambda a, b: a * a + b,
    }
    assert data.p == p
    assert data.tokens.tolist() == [list(pair) for pair in pairs]
    assert data.clean_labels.tolist() == [rules[str(config.operation)](a, b) % p for a, b in pairs]


@given(data_configs())
def test_masks_divide_the_pairs(config: DataConfig) -> None:
    data, pairs = make_dataset(config), config.p**2
    n_train = int(config.train_fraction * pairs)
    assert int(data.is_train.sum()) == n_train
    assert int(data.is_test.sum()) == pairs - n_train
    assert not (data.is_train & data.is_test).any()
    assert int(data.is_selected.sum()) == int(config.corruption * n_train)
    assert not (data.is_selected & data.is_test).any()
    assert torch.equal(data.is_changed, data.labels != data.clean_labels)
    assert not (data.is_changed & ~data.is_selected).any()  # test labels are always clean

    masks = data.masks
    assert tuple(masks) == SUBSETS == ("train", "test", "changed", "unchanged", "selected")
    count = {name: int(mask.sum()) for name, mask in masks.items()}
    assert count["train"] + count["test"] == pairs
    assert torch.equal(masks["changed"] ^ masks["unchanged"], masks["train"])
    assert torch.equal(masks["changed"], data.is_changed)
    assert torch.equal(masks["selected"], data.is_selected)


@given(data_configs(), st.data())
def test_larger_fractions_contain_smaller_ones(config: DataConfig, draw: st.DataObject) -> None:
    """Nested in train_fraction and in corruption, with the same labels on what both select."""
    other = dataclasses.replace(
        config,
        train_fraction=(draw.draw(st.integers(1, config.p**2 - 1)) + 0.5) / config.p**2,
        corruption=draw.draw(corruptions),
    )
    small, large = make_dataset(config), make_dataset(other)
    if config.n_train > other.n_train:
        small, large = large, small
    assert not (small.is_train & ~large.is_train).any()
    fewer, more = sorted([small, large], key=lambda data: int(data.is_selected.sum()))
    assert not (fewer.is_selected & ~more.is_selected).any()
    both = fewer.is_selected
    assert torch.equal(fewer.labels[both], more.labels[both])
    neither = ~more.is_selected
    assert torch.equal(fewer.labels[neither], more.labels[neither])


@example(DataConfig(p=23, corruption=0.5, corruption_kind="derangement"))
@example(DataConfig(p=23, corruption=0.5, corruption_kind="pair_flip"))
@example(
    DataConfig(
        p=23, corruption=0.5, corruption_kind="second_rule", second_operation="a - 3*b", seed=1
    )
)
@given(data_configs())
def test_corruption_kinds_do_what_they_say(config: DataConfig) -> None:
    data, p = make_dataset(config), config.p
    a, b = data.tokens[data.is_selected].T
    given_labels, true = data.labels[data.is_selected], data.clean_labels[data.is_selected]
    assert ((data.labels >= 0) & (data.labels < p)).all()
    match config.corruption_kind:
        case "derangement":
            assert (given_labels != true).all()
        case "pair_flip":
            assert torch.equal(given_labels, (true + 1) % p)
        case "second_rule":
            assert torch.equal(given_labels, (a - 3 * b) % p)


def whole_train_set(kind: str) -> Dataset:
    return make_dataset(
        DataConfig(train_fraction=0.9, corruption=1.0, corruption_kind=kind, seed=11)
    )


def test_symmetric_labels_are_uniform_over_all_classes() -> None:
    data, p = whole_train_set("symmetric"), 97
    chosen = data.is_selected
    labels = torch.bincount(data.labels[chosen], minlength=p).numpy()
    assert stats.chisquare(labels).pvalue > 1e-3
    shift = (data.labels - data.clean_labels)[chosen] % p
    shifts = torch.bincount(shift, minlength=p).numpy()
    assert stats.chisquare(shifts).pvalue > 1e-3
    stayed_true = int((chosen & ~data.is_changed).sum())
    assert stats.binomtest(stayed_true, int(chosen.sum()), 1 / p).pvalue > 1e-3


def test_deranged_labels_are_uniform_over_the_wrong_classes() -> None:
    data, p = whole_train_set("derangement"), 97
    shifts = torch.bincount((data.labels - data.clean_labels)[data.is_selected] % p, minlength=p)
    assert shifts[0] == 0
    assert stats.chisquare(shifts[1:].numpy()).pvalue > 1e-3


def test_split_and_labels_are_the_same_everywhere_and_tomorrow() -> None:
    """Stored runs name them by the seed alone; integers, so exact on every machine."""
    data = make_dataset(DataConfig(p=7, corruption=0.5, seed=3))
    selected = data.is_selected.nonzero().flatten().tolist()
    assert selected == [5, 6, 9, 13, 20, 21, 27, 29, 30, 37, 39, 40]
    assert data.labels[data.is_selected].tolist() == [3, 6, 0, 3, 4, 4, 5, 6, 4, 4, 1, 2]
    assert data.is_train.nonzero().flatten()[:8].tolist() == [0, 2, 5, 6, 9, 11, 13, 14]


def test_seeds_draw_unrelated_splits() -> None:
    """Two independent halves of the pairs overlap in a hypergeometric number of pairs."""
    first, second = (make_dataset(DataConfig(seed=seed)).is_train for seed in (0, 1))
    overlap = int((first & second).sum())
    pairs, train = 97 * 97, 4704
    law = stats.hypergeom(pairs, train, train)
    assert law.ppf(1e-4) < overlap < law.ppf(1 - 1e-4)


@given(data_configs())
def test_dataset_is_a_function_of_its_config(config: DataConfig) -> None:
    first = make_dataset(config)
    torch.rand(3)  # whatever else draws from the global generator
    assert same(first, make_dataset(config))


@pytest.mark.parametrize("kind", ["symmetric", "derangement"])
def test_another_seed_gives_another_split_and_other_noise(kind: str) -> None:
    first, second = (
        make_dataset(DataConfig(p=23, corruption=1.0, corruption_kind=kind, seed=seed))
        for seed in (0, 1)
    )
    assert torch.equal(first.clean_labels, second.clean_labels)
    assert not torch.equal(first.is_train, second.is_train)
    shared = first.is_selected & second.is_selected
    assert not torch.equal(first.labels[shared], second.labels[shared])


def test_split_does_not_depend_on_the_corruption() -> None:
    clean = make_dataset(DataConfig(p=23, seed=4))
    for kind in ("symmetric", "derangement", "pair_flip"):
        noisy = make_dataset(DataConfig(p=23, corruption=0.5, corruption_kind=kind, seed=4))
        assert torch.equal(noisy.is_train, clean.is_train)


@pytest.mark.parametrize("protocol", ["independent", "published"])
def test_global_random_state_is_untouched(protocol: str) -> None:
    config = DataConfig(p=23, corruption=0.5, protocol=protocol)
    random.random()  # or an earlier test's seeding would look like no seeding
    torch.rand(1)

    def numpys() -> list[int]:
        return np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002

    before = random.getstate(), torch.get_rng_state(), numpys()
    make_dataset(config)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert numpys() == before[2]


@pytest.mark.parametrize("argument", ["operation", "second_operation"])
def test_function_is_tabulated_at_once(argument: str) -> None:
    def twist(a: int, b: int) -> int:
        return (3 * a + b * b) % 7

    kind = "second_rule" if argument == "second_operation" else "symmetric"
    chosen: dict[str, Any] = {argument: twist}
    config = DataConfig(p=7, corruption=1.0, corruption_kind=kind, **chosen)
    assert getattr(config, argument) == Table.from_function(twist, 7)
    data = make_dataset(config)
    expected = torch.tensor([(3 * a + b * b) % 7 for a in range(7) for b in range(7)])
    if argument == "operation":
        assert torch.equal(data.clean_labels, expected)
    else:
        assert torch.equal(data.labels[data.is_selected], expected[data.is_selected])


def test_without_corruption_all_labels_are_true() -> None:
    data = make_dataset(DataConfig(p=11, corruption=0.0))
    assert torch.equal(data.labels, data.clean_labels)
    assert not data.is_selected.any()


@pytest.mark.parametrize("fraction", [0.29, 0.5, 0.57, 0.58])
def test_train_size_is_truncated_not_rounded(fraction: float) -> None:
    """0.29 * 100 is 28.999... in floating point; the authors' int() makes that 28."""
    config = DataConfig(p=10, train_fraction=fraction)
    assert config.n_train == {0.29: 28, 0.5: 50, 0.57: 56, 0.58: 57}[fraction]


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"p": 1}, ValueError, "p must be at least 2, got 1"),
        ({"p": 97.0}, TypeError, r"p must be an integer, got 97.0 \(float\)"),
        ({"train_fraction": 0.0}, ValueError, r"train_fraction must lie in \(0.0, 1.0\), got 0.0"),
        ({"train_fraction": 1.0}, ValueError, r"train_fraction must lie in \(0.0, 1.0\), got 1.0"),
        ({"train_fraction": -0.5}, ValueError, "train_fraction must lie in .* got -0.5"),
        ({"train_fraction": float("nan")}, ValueError, "train_fraction must be finite, got nan"),
        ({"train_fraction": "0.5"}, TypeError, "train_fraction must be a number, got '0.5'"),
        ({"train_fraction": True}, TypeError, "train_fraction must be a number, got True"),
        (
            {"p": 5, "train_fraction": 0.039},
            ValueError,
            "train_fraction=0.039 of 25 pairs leaves 0 for training; train and test set",
        ),
        ({"corruption": -0.1}, ValueError, r"corruption must lie in \[0, 1\], got -0.1"),
        ({"corruption": 1.1}, ValueError, r"corruption must lie in \[0, 1\], got 1.1"),
        ({"corruption": float("inf")}, ValueError, "corruption must be finite, got inf"),
        ({"corruption": None}, TypeError, "corruption must be a number, got None"),
        (
            {"corruption_kind": "symetric"},
            ValueError,
            "corruption_kind='symetric' is unknown. Did you mean 'symmetric'. "
            "Known: derangement, pair_flip, second_rule, symmetric",
        ),
        (
            {"protocol": "publish"},
            ValueError,
            "protocol='publish' is unknown. Did you mean 'published'. Known: indep",
        ),
        ({"seed": -1}, ValueError, "data.seed must be at least 0, got -1"),
        ({"seed": 1.0}, TypeError, "data.seed must be an integer, got 1.0"),
        (
            {"second_operation": "subtraction"},
            ValueError,
            "second_operation='subtraction' and corruption_kind='symmetric': set second_operation "
            "exactly when corruption_kind is 'second_rule'",
        ),
        (
            {"corruption_kind": "second_rule"},
            ValueError,
            "second_operation=None and corruption_kind='second_rule'",
        ),
        (
            {"corruption_kind": "second_rule", "second_operation": "substraction"},
            ValueError,
            "second_operation='substraction' is unknown. Did you mean 'subtraction'",
        ),
        (
            {"corruption_kind": "second_rule", "second_operation": "division", "p": 96},
            ValueError,
            "second_operation='division' needs a prime p, got p=96",
        ),
        (
            {"operation": Table("zero", 3, (0,) * 9), "p": 5},
            ValueError,
            "operation is a table for p=3 but p=5; tabulate the function again",
        ),
        ({"operation": lambda a, b: a + b, "p": 5}, ValueError, r"'<lambda>' gives 5 at \(1, 4\)"),
        ({"operation": 5}, TypeError, "operation must be a name, a polynomial .* got 5"),
        ({"protocol": "published", "seed": 1}, ValueError, "published.* got .*seed=1; leave both"),
        (
            {"protocol": "published", "corruption_kind": "derangement"},
            ValueError,
            "published.* got corruption_kind='derangement'.* use protocol='independent'",
        ),
    ],
)
def test_bad_configs_are_refused_with_argument_value_and_remedy(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        DataConfig(**fields)
