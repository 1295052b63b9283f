"""The data set of a task: all p * p pairs, the train/test split, and labels, some corrupted."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from grokinterp.checks import check_choice, check_int, check_number
from grokinterp.frozen import frozen_config
from grokinterp.limits import MAX_P
from grokinterp.randomness import generator
from grokinterp.session import unaffected
from grokinterp.short_text import short_repr
from grokinterp.tasks import Operation, operation_table, resolve_operation

CORRUPTIONS = ("symmetric", "derangement", "pair_flip", "second_rule")
PROTOCOLS = ("independent", "published", "nanda2023")
SUBSETS = ("train", "test", "changed", "unchanged", "selected")

# Seeds in the authors' code: of Python's `random` for the split, of torch for the redrawn labels.
_PUBLISHED_SPLIT_SEED, _PUBLISHED_NOISE_SEED = 420, 0


@frozen_config
class DataConfig:
    """The task, the share of pairs used for training, and the share of corrupted labels.

    A function ``f(a, b)`` given as ``operation`` or ``second_operation`` is tabulated at once and
    stored as a :class:`~grokinterp.Table`.

    Examples:
        >>> import grokinterp as gi
        >>> config = gi.DataConfig(p=13, train_fraction=0.5, corruption=0.4)
        >>> config.n_train, config.n_selected
        (84, 33)
        >>> gi.DataConfig(operation=max, p=13).operation.name
        'max'
    """

    operation: Operation = "addition"  # a name, a polynomial in a and b, or a function
    p: int = 97  # the modulus; the data set is all p * p ordered pairs
    train_fraction: float = 0.5  # alpha, strictly between 0 and 1; int(alpha * p * p) pairs train
    corruption: float = 0.0  # xi in [0, 1]: share of the training labels that are redrawn
    corruption_kind: str = "symmetric"  # symmetric, derangement, pair_flip or second_rule
    second_operation: Operation | None = None  # rule of the corrupted labels in "second_rule"
    # "published": split and noise of the first paper's authors, bit for bit; "nanda2023": the split
    # of Nanda et al. 2023 (arXiv:2301.05217), bit for bit, with ``seed`` as their seed
    protocol: str = "independent"
    seed: int = 0  # of the split and the corruption only

    def __post_init__(self) -> None:
        check_int("p", self.p, minimum=2, maximum=MAX_P)
        for argument in ("operation", "second_operation"):
            if getattr(self, argument) is not None or argument == "operation":
                plain = resolve_operation(argument, getattr(self, argument), self.p)
                object.__setattr__(self, argument, plain)
        check_number("train_fraction", self.train_fraction, minimum=0.0, below=1.0, strict=True)
        check_number("corruption", self.corruption)
        if not 0 <= self.corruption <= 1:
            raise ValueError(f"corruption must lie in [0, 1], got {self.corruption}")
        check_choice("corruption_kind", self.corruption_kind, CORRUPTIONS)
        check_choice("protocol", self.protocol, PROTOCOLS)
        check_int("data.seed", self.seed, minimum=0)
        if not 0 < self.n_train < self.p**2:
            raise ValueError(
                f"train_fraction={self.train_fraction} of {self.p**2} pairs leaves "
                f"{self.n_train} for training; train and test set need at least one pair each"
            )
        if (self.second_operation is not None) != (self.corruption_kind == "second_rule"):
            raise ValueError(
                f"second_operation={self.second_operation!r} and "
                f"corruption_kind={self.corruption_kind!r}: set second_operation exactly when "
                "corruption_kind is 'second_rule'"
            )
        if self.protocol == "published" and (self.corruption_kind, self.seed) != ("symmetric", 0):
            raise ValueError(
                "protocol='published' fixes symmetric corruption and its own seeds, got "
                f"corruption_kind={self.corruption_kind!r}, seed={self.seed}; leave both at "
                "their defaults or use protocol='independent'"
            )

    @property
    def n_train(self) -> int:
        """Number of training pairs, rounded down as in the authors' code."""
        return int(self.train_fraction * self.p**2)

    @property
    def n_selected(self) -> int:
        """Number of training pairs with a redrawn label, rounded down as in the authors' code."""
        return int(self.corruption * self.n_train)


@short_repr
@dataclass(frozen=True, eq=False)  # eq=False: tensors have no single truth value
class Dataset:
    """All pairs of a task in lexicographic order, with labels after corruption.

    Examples:
        >>> import grokinterp as gi
        >>> dataset = gi.make_dataset(gi.DataConfig(p=13, train_fraction=0.5, corruption=0.4))
        >>> dataset.tokens.shape
        torch.Size([169, 2])
        >>> {name: int(mask.sum()) for name, mask in dataset.masks.items()}
        {'train': 84, 'test': 85, 'changed': 31, 'unchanged': 53, 'selected': 33}
    """

    tokens: Int[Tensor, "pair 2"]  # (a, b), a = index // p, b = index % p
    labels: Int[Tensor, " pair"]  # after corruption; equal to clean_labels outside the train set
    clean_labels: Int[Tensor, " pair"]
    is_train: Bool[Tensor, " pair"]
    is_selected: Bool[Tensor, " pair"]  # label was redrawn, which may give the true label again
    is_changed: Bool[Tensor, " pair"]  # label was redrawn and differs from the true one

    @property
    def p(self) -> int:
        """The modulus, which is also the number of classes."""
        return int(self.tokens[-1, 0]) + 1

    @property
    def is_test(self) -> Bool[Tensor, " pair"]:
        """All pairs outside the train set."""
        return ~self.is_train

    @cached_property
    def masks(self) -> Mapping[str, Bool[Tensor, " pair"]]:
        """Masks of the subsets that accuracies are reported on, keyed by the names in ``SUBSETS``.

        "changed" are the training pairs whose given label is wrong, "unchanged" the other training
        pairs. "selected" are the pairs whose label was redrawn, which the papers call corrupted:
        the changed ones and those (1/p of the redrawn) that got the true label by chance.
        """
        return {
            "train": self.is_train,
            "test": self.is_test,
            "changed": self.is_changed,
            "unchanged": self.is_train & ~self.is_changed,
            "selected": self.is_selected,
        }


@unaffected()
def make_dataset(config: DataConfig) -> Dataset:
    """Make all p * p pairs, with split and corruption drawn from ``config.seed`` alone.

    All pairs are shuffled once. The train set is the first ``int(train_fraction * p * p)`` of them,
    and the first ``int(corruption * n_train)`` of these get corrupted labels. Each pair's corrupted
    label is fixed by the seed, so a larger train set (or corruption) contains the smaller one.

    Corrupted labels by ``corruption_kind``: "symmetric" (the paper's) is uniform over all p
    classes, so 1/p of the redrawn labels stay true; "derangement" is uniform over the wrong
    classes; "pair_flip" is the true label plus 1 mod p; "second_rule" is the label of
    ``config.second_operation``.

    Source: Doshi et al. 2023, arXiv:2310.13061, section 1.1; protocol="published": their code;
    protocol="nanda2023": the code of Nanda et al. 2023, arXiv:2301.05217.

    Examples:
        >>> import grokinterp as gi
        >>> small = gi.make_dataset(gi.DataConfig(p=13, train_fraction=0.3, corruption=0.2))
        >>> large = gi.make_dataset(gi.DataConfig(p=13, train_fraction=0.6, corruption=0.4))
        >>> bool(large.is_train[small.is_train].all())  # the larger train set contains the smaller
        True
        >>> bool(large.is_selected[small.is_selected].all())
        True
    """
    p, pairs = config.p, config.p**2
    clean = operation_table(config.operation, p).flatten()
    order = _shuffled_pairs(config)
    train, selected = order[: config.n_train], order[: config.n_selected]
    labels = clean.clone()
    labels[selected] = _replacements(config, clean, order)[: config.n_selected]
    is_selected = _mask(selected, pairs)
    index = torch.arange(pairs)
    return Dataset(
        tokens=torch.stack([index // p, index % p], dim=1),
        labels=labels,
        clean_labels=clean,
        is_train=_mask(train, pairs),
        is_selected=is_selected,
        is_changed=is_selected & (labels != clean),
    )


def _shuffled_pairs(config: DataConfig) -> Int[Tensor, " pair"]:
    pairs = config.p**2
    if config.protocol != "independent":
        order = list(range(pairs))
        seed = _PUBLISHED_SPLIT_SEED if config.protocol == "published" else config.seed
        random.Random(seed).shuffle(order)
        return torch.tensor(order)
    return torch.randperm(pairs, generator=generator(config.seed, "split"))


def _replacements(
    config: DataConfig, clean: Int[Tensor, " pair"], order: Int[Tensor, " pair"]
) -> Int[Tensor, " pair"]:
    """A corrupted label for every pair in shuffled order; so a larger share adds to a smaller."""
    p, pairs = config.p, config.p**2
    noise = generator(config.seed, "noise")
    if config.protocol == "published":
        noise = torch.Generator().manual_seed(_PUBLISHED_NOISE_SEED)
    match config.corruption_kind:
        case "symmetric":
            return torch.randint(0, p, (pairs,), generator=noise)
        case "derangement":
            return (clean[order] + torch.randint(1, p, (pairs,), generator=noise)) % p
        case "pair_flip":
            return (clean[order] + 1) % p
    assert config.second_operation is not None  # checked by DataConfig for "second_rule"
    return operation_table(config.second_operation, p).flatten()[order]


def _mask(index: Int[Tensor, " chosen"], size: int) -> Bool[Tensor, " pair"]:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[index] = True
    return mask
