"""Accuracies counted by hand and losses as torch defines them."""

import math

import pytest
import torch
import torch.nn.functional as F

import grokinterp as gi
from probes import accuracy, loss, pruning_curve, subset_scores

LOGITS = torch.tensor([[0.1, 0.9, 0.0], [1.0, 0.0, -1.0], [0.0, 0.0, 2.0], [-1.0, -3.0, -2.0]])
LABELS = torch.tensor([1, 1, 2, 0])  # right, wrong, right, right


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (None, 3 / 4),
        ([True, True, True, True], 3 / 4),
        ([True, True, False, False], 1 / 2),
        ([False, True, False, False], 0.0),
        ([True, False, True, True], 1.0),
    ],
)
def test_accuracy_counts_right_answers(mask: list[bool] | None, expected: float) -> None:
    chosen = None if mask is None else torch.tensor(mask)
    assert accuracy(LOGITS, LABELS, chosen) == expected


@pytest.mark.parametrize(("label", "expected"), [(0, 1.0), (1, 0.0), (2, 0.0)])
def test_equal_logits_answer_the_first_class(label: int, expected: float) -> None:
    assert accuracy(torch.zeros(1, 3), torch.tensor([label])) == expected


def test_losses_are_torchs() -> None:
    one_hot = F.one_hot(LABELS, 3).double()
    chosen = torch.tensor([True, False, True, False])
    logits = LOGITS.double()
    assert loss(LOGITS, LABELS) == pytest.approx(F.mse_loss(logits, one_hot).item())
    assert loss(LOGITS, LABELS, chosen, kind="mse") == pytest.approx(
        F.mse_loss(logits[chosen], one_hot[chosen]).item()
    )
    assert loss(LOGITS, LABELS, kind="cross_entropy") == pytest.approx(
        F.cross_entropy(logits, LABELS).item()
    )
    assert loss(LOGITS, LABELS, chosen, kind="cross_entropy") == pytest.approx(
        F.cross_entropy(logits[chosen], LABELS[chosen]).item()
    )


def test_losses_of_a_network_that_says_nothing() -> None:
    labels = torch.arange(97)
    assert loss(torch.zeros(97, 97), labels) == pytest.approx(0.0103093, abs=5e-8)  # printed
    assert loss(torch.zeros(97, 97), labels, kind="cross_entropy") == pytest.approx(math.log(97))


def test_losses_are_computed_in_float64() -> None:
    logits = torch.full((1, 2), 3e4)  # in float32 the label's 2 * 3e4 is lost beside 1.8e9
    expected = (2 * 9e8 - 6e4 + 1) / 2
    assert loss(logits, torch.tensor([0])) == pytest.approx(expected, rel=1e-13)


def test_an_empty_mask_has_no_score() -> None:
    nobody = torch.zeros(4, dtype=torch.bool)
    assert math.isnan(accuracy(LOGITS, LABELS, nobody))
    for kind in ("mse", "cross_entropy"):
        assert math.isnan(loss(LOGITS, LABELS, nobody, kind=kind))


def test_unknown_losses_are_named() -> None:
    with pytest.raises(ValueError, match=r"kind='mes' is unknown\. Did you mean 'mse'"):
        loss(LOGITS, LABELS, kind="mes")


@pytest.mark.parametrize("kind", ["mse", "cross_entropy"])
def test_subset_scores_follow_the_masks(random_model: gi.HookedMLP, kind: str) -> None:
    data = gi.make_dataset(gi.DataConfig(p=11, train_fraction=0.6, corruption=0.4, seed=2))
    weights = {name: w.double() for name, w in random_model.state_dict().items()}
    totals: dict[str, list[tuple[float, float]]] = {}
    for i, (a, b) in enumerate(data.tokens.tolist()):
        logits = (weights["W_E"][0, a] + weights["W_E"][1, b]).square() @ weights["W_U"]
        label = data.labels[i]
        if kind == "mse":
            value = F.mse_loss(logits, F.one_hot(label, 11).double())
        else:
            value = F.cross_entropy(logits, label)
        point = (float(logits.argmax() == label), value.item())
        wrong = bool(data.labels[i] != (a + b) % 11)
        names = ["train", "changed" if wrong else "unchanged"] if data.is_train[i] else ["test"]
        names += ["selected"] * int(data.is_selected[i])
        for name in names:
            totals.setdefault(name, []).append(point)
    scores = subset_scores(random_model, data, kind=kind)
    assert list(scores) == ["train", "test", "changed", "unchanged", "selected"]
    assert len(totals["selected"]) > len(totals["changed"])  # some kept the true label
    for name, points in totals.items():
        right, values = zip(*points, strict=True)
        assert scores[name]["accuracy"] == pytest.approx(sum(right) / len(right), abs=1e-12)
        assert scores[name]["loss"] == pytest.approx(sum(values) / len(values), rel=1e-5)


def test_without_corruption_only_the_subsets_of_corrupted_labels_have_no_score(
    random_model: gi.HookedMLP,
) -> None:
    data = gi.make_dataset(gi.DataConfig(p=11))
    scores = subset_scores(random_model, data)
    missing = {name for name, score in scores.items() if any(map(math.isnan, score.values()))}
    assert missing == {"changed", "selected"}
    assert scores["train"] == scores["unchanged"]


@pytest.mark.parametrize(
    ("d_mlp", "low", "high"), [(500, 1.0, 1.0), (97, 0.99, 1.0), (48, 0.80, 0.92)]
)
def test_accuracy_of_the_closed_form_network(d_mlp: int, low: float, high: float) -> None:
    # Over draws: 1.000 at 500 neurons, about 0.998 at 97, 0.81 to 0.90 at 48.
    data = gi.make_dataset(gi.DataConfig(p=97))
    with torch.no_grad():
        logits = gi.closed_form_mlp(p=97, d_mlp=d_mlp, seed=1)(data.tokens)
    assert low <= accuracy(logits, data.labels) <= high
    # What is left over besides the label's delta has a mean square of 4 / d_mlp.
    assert loss(logits, data.labels) == pytest.approx(4 / d_mlp, rel=0.15)


def test_a_model_of_another_modulus_is_refused() -> None:
    data = gi.make_dataset(gi.DataConfig(p=11))
    other = gi.HookedMLP(gi.MLPConfig(d_mlp=4), p=13)
    with pytest.raises(ValueError, match=r"121 pairs and 11 classes, but logits are \[169, 13\]"):
        subset_scores(other, data)
    with pytest.raises(ValueError, match=r"model has p=13 but the dataset p=11"):
        pruning_curve(other, data, torch.arange(4))
