"""Where circuits come from: real checkpoints of a small network that memorises in a few steps."""

import pytest
import torch

import grokinterp as gi
from analyses.efficiency.circuits.circuits import CircuitError, check_compatible
from analyses.efficiency.circuits.sources import (
    END,
    PUBLISHED_RULES,
    VALIDATED_RULES,
    closed_form,
    from_checkpoint,
    random_elsewhere,
    random_labels,
)

P = 31
CONFIG = gi.RunConfig(
    data=gi.DataConfig(p=P, seed=2),
    model=gi.MLPConfig(d_mlp=250),
    training=gi.TrainConfig(steps=50, eval_every=2),
    seed=2,
)
RULES = PUBLISHED_RULES | VALIDATED_RULES


@pytest.fixture(scope="module")
def runs() -> dict[str, gi.Run]:
    configs = {"plain": CONFIG, "random labels": random_labels(CONFIG)}
    configs["random elsewhere"] = random_elsewhere(CONFIG)
    trained = gi.train_many(configs.values(), checkpoints=RULES, device="cpu", progress=False)
    return dict(zip(configs, trained, strict=True))


def first_row(run: gi.Run, *, most: float = 1.0) -> int:
    """The first step of the history with train accuracy >= 99 % and test accuracy <= most."""
    here = (run.history.train_accuracy >= 0.99) & (run.history.test_accuracy <= most)
    return int(run.history.step[int(here.argmax("step"))])


def test_the_published_memoriser_is_the_first_to_fit(runs: dict[str, gi.Run]) -> None:
    run = runs["plain"]
    circuit = from_checkpoint(run, "memorising", "memorising", definition="published")
    assert circuit.source == f"checkpoint 'memorising', step {first_row(run)}"
    here = run.history.sel(step=first_row(run))
    assert circuit.accuracy(circuit.seen) == pytest.approx(here.train_accuracy.item())
    assert circuit.accuracy(~circuit.seen) == pytest.approx(here.test_accuracy.item())
    assert torch.equal(circuit.seen, run.dataset.is_train)
    assert circuit.norm < from_checkpoint(run, END, "memorising", definition="published").norm


def test_a_validated_memoriser_is_at_chance_elsewhere(runs: dict[str, gi.Run]) -> None:
    for name in ("plain", "random labels"):
        run = runs[name]
        circuit = from_checkpoint(run, "validated-memorising", "memorising")
        assert circuit.source.endswith(f"step {first_row(run, most=0.05)}")
        assert circuit.accuracy(circuit.seen) >= 0.99
        assert circuit.accuracy(~circuit.seen) <= 0.05


def test_random_labels_change_the_labels_alone(runs: dict[str, gi.Run]) -> None:
    ours, theirs = runs["plain"].dataset, runs["random labels"].dataset
    assert torch.equal(ours.is_train, theirs.is_train)
    assert torch.equal(ours.clean_labels, theirs.clean_labels)
    assert 0.9 < theirs.is_changed.sum() / theirs.is_train.sum() < 1  # 1/p stay true
    rule = {"data.corruption_kind": "second_rule", "data.second_operation": "subtraction"}
    from_second_rule = CONFIG.replace(rule | {"data.corruption": 0.2})
    assert random_labels(from_second_rule) == random_labels(CONFIG)


@pytest.mark.parametrize("corruption", [0.0, 0.3])
def test_random_elsewhere_trains_on_nearly_all(corruption: float) -> None:
    config = CONFIG.replace({"data.corruption": corruption})
    ours, theirs = (gi.make_dataset(c.data) for c in (config, random_elsewhere(config)))
    assert theirs.is_test.sum() == 1
    assert not (theirs.is_test & ours.is_train).any()
    assert torch.equal(theirs.labels[ours.is_train], ours.labels[ours.is_train])
    true = (theirs.labels == ours.labels)[ours.is_test]
    assert 0 < true.double().mean() < 3 / P  # 1/p of random labels are true
    assert random_elsewhere(config).training == config.training


def test_the_memoriser_that_errs_elsewhere(runs: dict[str, gi.Run]) -> None:
    circuit = from_checkpoint(runs["random elsewhere"], END, "memorising", task=CONFIG.data)
    task, shown = circuit.dataset, runs["random elsewhere"].dataset
    assert torch.equal(task.labels, gi.make_dataset(CONFIG.data).labels)
    assert circuit.accuracy(task.is_train) == 1.0
    by_chance = circuit.seen & ~task.is_train
    assert torch.equal(by_chance, task.is_test & shown.is_train & (shown.labels == task.labels))
    assert 0 < by_chance.sum() < 3 / P * task.is_test.sum()
    assert circuit.accuracy(~circuit.seen) == 0.0  # it was taught wrong answers
    assert circuit.scores.median_margin.sel(subset="test", label="true") < 0
    check_compatible(circuit, closed_form(CONFIG.data))


def test_a_rule_that_never_came_true_says_how_far_training_got(runs: dict[str, gi.Run]) -> None:
    history = runs["plain"].history
    both = history.test_accuracy + history.unchanged_accuracy
    best = history.isel(step=int(both.argmax("step")))
    with pytest.raises(CircuitError) as refused:
        from_checkpoint(runs["plain"], "validated-generalising", "generalising")
    text = str(refused.value)
    assert "no checkpoint 'validated-generalising' (kept: memorising, validated-memorising)" in text
    assert "C_gen must have unchanged-label accuracy >= 0.999 and validation accuracy" in text
    assert f"closest at step {int(best.step)} of 50: unchanged-label 1.000, validation" in text
    assert text.endswith(f"{best.test_accuracy.item():.3f}")


def test_a_checkpoint_that_nobody_asked_for(runs: dict[str, gi.Run]) -> None:
    with pytest.raises(CircuitError, match=r"had at step \d+: train .* with a rule of this name"):
        from_checkpoint(runs["plain"], "mine", "memorising")
    # Not that it diverged: there is nothing to measure this definition on.
    with pytest.raises(CircuitError, match=r"mine.*data have no changed-label examples"):
        from_checkpoint(runs["plain"], "mine", "memorising", definition="half")


def test_the_end_of_training_is_no_c_gen_unless_it_generalises(runs: dict[str, gi.Run]) -> None:
    with pytest.raises(CircuitError, match=r"C_gen \(end of training, step 50\).*validation 0\.0"):
        from_checkpoint(runs["plain"], END, "generalising")
    published = from_checkpoint(runs["plain"], END, "generalising", definition="published")
    assert published.model is runs["plain"].model


def test_a_task_of_another_modulus(runs: dict[str, gi.Run]) -> None:
    with pytest.raises(ValueError, match=r"task has p=29.*p=31"):
        from_checkpoint(runs["plain"], END, "memorising", task=gi.DataConfig(p=29))


def test_the_closed_form_has_seen_nothing_and_knows_everything() -> None:
    circuit = closed_form(CONFIG.data)
    assert not circuit.seen.any()
    assert circuit.accuracy() == 1.0
    assert circuit.scores.median_logit.sel(subset="test", label="true") == pytest.approx(1, abs=0.1)


def test_the_closed_form_at_another_scale() -> None:
    own, loud = closed_form(CONFIG.data), closed_form(CONFIG.data, median_logit=20.0)
    at_label = loud.logits().gather(1, loud.dataset.labels[:, None])
    assert at_label.median().item() == pytest.approx(20, rel=1e-5)
    factor = loud.norm / own.norm
    torch.testing.assert_close(loud.logits(), own.logits() * factor**3, rtol=1e-4, atol=1e-4)


def test_what_has_no_closed_form() -> None:
    with pytest.raises(ValueError, match=r"operation='subtraction' has no closed form"):
        closed_form(gi.DataConfig(operation="subtraction"))
    with pytest.raises(CircuitError, match=r"closed form, 6 neurons"):
        closed_form(CONFIG.data, d_mlp=6)
    with pytest.raises(ValueError, match="median_logit"):
        closed_form(CONFIG.data, median_logit=0.0)
