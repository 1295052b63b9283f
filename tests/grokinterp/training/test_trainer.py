import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import grokinterp as gi
from grokinterp.team import Team
from grokinterp.training import trainer
from grokinterp.training.stack import Stack

SMALL = gi.RunConfig(
    data=gi.DataConfig(p=11, train_fraction=0.6, corruption=0.3),
    model=gi.MLPConfig(d_mlp=20),
    training=gi.TrainConfig(steps=40, eval_every=8),
)


def train(config: gi.RunConfig, **options: object) -> gi.Run:
    return gi.train(config, progress=False, **options)  # pyright: ignore[reportArgumentType]


def plain_loop(config: gi.RunConfig) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
    """What everyone writes: one-hot pairs, two linear layers, torch's optimiser; float64."""
    p, width = config.data.p, config.model.d_mlp
    data, model = gi.make_dataset(config.data), gi.build_model(config).double()
    assert isinstance(model, gi.HookedMLP)
    first = torch.nn.Linear(2 * p, width, bias=False, dtype=torch.float64)
    second = torch.nn.Linear(width, p, bias=False, dtype=torch.float64)
    with torch.no_grad():
        first.weight.copy_(model.W_E.flatten(0, 1).T)
        second.weight.copy_(model.W_U.T)
    one_hot = F.one_hot(data.tokens[data.is_train], p).flatten(1).double()
    target = F.one_hot(data.labels[data.is_train], p).double()
    t = config.training
    optimizer = torch.optim.AdamW(
        [*first.parameters(), *second.parameters()],
        lr=t.lr,
        betas=t.betas,
        eps=t.eps,
        weight_decay=t.weight_decay,
    )
    losses = []
    for _ in range(t.steps):
        optimizer.zero_grad()
        loss = F.mse_loss(second(first(one_hot) ** 2), target)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    return first.weight.detach(), second.weight.detach(), losses


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("weight_decay", [0.0, 5.0])
def test_training_is_the_plain_loops(weight_decay: float) -> None:
    config = SMALL.replace({"training.weight_decay": weight_decay, "training.eval_every": 1})
    run = train(config, precision="float64")
    first, second, losses = plain_loop(config)
    torch.testing.assert_close(run.model.W_E.flatten(0, 1).T, first, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(run.model.W_U.T, second, rtol=1e-7, atol=1e-9)
    # the history's row s is the state after s updates, which is what the loop's loss s+1 sees
    np.testing.assert_allclose(run.history.train_loss[:-1], losses, rtol=1e-7)


@pytest.mark.usefixtures("each_way")
def test_history_is_what_the_final_model_gives() -> None:
    run = train(SMALL)
    data, last = run.dataset, run.history.isel(step=-1)
    with torch.no_grad():
        logits = run.model(data.tokens)
    right = (logits.argmax(dim=1) == data.labels).numpy()
    for name in ("train", "test", "changed", "unchanged", "selected"):
        want = right[data.masks[name].numpy()].mean()
        assert float(last[f"{name}_accuracy"]) == pytest.approx(want, abs=1e-6)
    error = (logits - F.one_hot(data.labels, 11)).square().mean(dim=1)
    for name in ("train", "test", "changed", "unchanged", "selected"):
        want = float(error[data.masks[name]].mean())
        assert float(last[f"{name}_loss"]) == pytest.approx(want, rel=1e-5)
    assert list(run.history.weight.values) == ["W_E[0]", "W_E[1]", "W_U"]
    norms = [run.model.W_E[0].norm(), run.model.W_E[1].norm(), run.model.W_U.norm()]
    np.testing.assert_allclose(last.norm, [float(n.detach()) for n in norms], rtol=1e-5)


def test_an_empty_subset_has_no_score() -> None:
    last = train(SMALL.replace({"data.corruption": 0.0})).history.isel(step=-1)
    assert np.isnan(last.changed_loss)
    assert np.isnan(last.changed_accuracy)
    np.testing.assert_allclose(last.unchanged_loss, last.train_loss, rtol=1e-6)


def test_history_starts_untrained_and_ends_at_the_last_step() -> None:
    config = SMALL.replace({"training.steps": 10, "training.eval_every": 4})
    run = train(config)
    assert list(run.history.step.values) == [0, 4, 8, 10]
    start = gi.build_model(config).get_parameter("W_U").detach().norm()
    assert float(run.history.norm.sel(weight="W_U")[0]) == pytest.approx(float(start), rel=1e-6)


def varied() -> list[gi.RunConfig]:
    changes: list[dict[str, object]] = [
        {},
        {"training.weight_decay": 5.0, "seed": 1},
        {"data.train_fraction": 0.3, "training.lr": 3e-3, "data.seed": 2},
        {"data.corruption": 0.9, "training.betas": (0.8, 0.9)},
        {"seed": 7, "data.operation": "a**2 + b", "data.train_fraction": 0.8},
    ]
    return [SMALL.replace(change) for change in changes]


def assert_same(one: gi.Run, other: gi.Run) -> None:
    assert one.config == other.config
    for name in ("train_loss", "test_loss", "norm"):
        np.testing.assert_allclose(one.history[name], other.history[name], rtol=1e-6)
    torch.testing.assert_close(one.model.W_U, other.model.W_U, rtol=1e-6, atol=1e-8)


@pytest.mark.usefixtures("each_way")
def test_a_run_is_the_same_alone_in_a_stack_and_in_another_order() -> None:
    configs = varied()
    together = gi.train_many(configs, precision="float64", progress=False)
    backwards = gi.train_many(configs[::-1], precision="float64", progress=False)[::-1]
    for config, one, other in zip(configs, together, backwards, strict=True):
        assert_same(one, other)
        assert_same(one, train(config, precision="float64"))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_run_uses_the_threads_of_torch_and_does_not_depend_on_their_number(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Observed(Team):
        def __init__(self, size: int) -> None:
            sizes.append(size)
            super().__init__(size)

    monkeypatch.setattr(trainer, "Team", Observed)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = train(SMALL, precision="float64")
        torch.set_num_threads(threads)
        assert_same(one, train(SMALL, precision="float64"))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert sizes == [1, threads]


def test_mixed_programs_come_back_in_order() -> None:
    configs = [
        SMALL,
        SMALL.replace({"model": gi.MLPConfig(d_mlp=8, act="relu", n_layers=2, init="standard")}),
        SMALL.replace({"training.loss": "cross_entropy", "training.steps": 16}),
        SMALL.replace({"seed": 3}),
    ]
    runs = gi.train_many(configs, progress=False)
    assert [run.config for run in runs] == configs
    assert runs[0].provenance["stack_size"] == runs[3].provenance["stack_size"] == 2
    assert runs[1].provenance["stack_size"] == 1


def test_nothing_to_train_is_fine() -> None:
    assert gi.train_many([], progress=False) == []


def test_global_random_state_is_untouched() -> None:
    # not Python's own: the type checker of these tests draws from it
    def numpys() -> np.ndarray:
        return np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002

    torchs, before = torch.get_rng_state(), numpys()
    train(SMALL)
    assert torch.equal(torch.get_rng_state(), torchs)
    assert np.array_equal(numpys(), before)


def test_probes_are_recorded_at_every_evaluated_step() -> None:
    run = train(
        SMALL,
        probes={
            "size": lambda model: model.W_U.norm(),
            "rows": lambda model: model.W_U.norm(dim=1),
        },
    )
    assert run.history["size"].dims == ("step",)
    assert run.history.rows.dims == ("step", "rows_0")
    assert run.history.sizes["rows_0"] == 20
    np.testing.assert_allclose(run.history["size"], run.history.norm.sel(weight="W_U"), rtol=1e-6)


@pytest.mark.usefixtures("each_way")
def test_a_diverging_run_stops_says_when_and_leaves_its_neighbours_alone() -> None:
    wild = SMALL.replace({"training.lr": 1e18, "training.steps": 200})
    tame = SMALL.replace({"training.steps": 200})
    with pytest.warns(gi.DivergenceWarning, match=r"run 0: .*training\.lr"):
        broken, fine = gi.train_many([wild, tame], progress=False)
    assert broken.diverged_at is not None
    assert broken.diverged_at < 200
    assert (broken.history.step < broken.diverged_at).all()
    assert np.isfinite(broken.history.train_loss).all()
    assert fine.diverged_at is None
    assert_close = np.testing.assert_allclose
    assert_close(fine.history.train_loss, train(tame).history.train_loss, rtol=1e-2)


def test_a_diverging_single_run_ends_at_the_next_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """It diverges within the first 8 steps, and rows are 8 steps apart."""
    steps: list[int] = []
    step = Stack.step

    def counted(stack: Stack) -> None:
        steps.append(1)
        step(stack)

    monkeypatch.setattr(Stack, "step", counted)
    with pytest.warns(gi.DivergenceWarning):
        run = train(SMALL.replace({"training.lr": 1e18, "training.steps": 500}))
    assert run.diverged_at is not None
    assert run.diverged_at <= 8
    assert len(steps) == 8


@pytest.mark.usefixtures("each_way")
def test_the_step_of_divergence_is_exact() -> None:
    config = SMALL.replace({"training.lr": 1e18, "training.steps": 60, "training.eval_every": 1})
    coarse = config.replace({"training.eval_every": 60})
    with pytest.warns(gi.DivergenceWarning):
        fine_run, coarse_run = train(config), train(coarse)
    assert fine_run.diverged_at == coarse_run.diverged_at
    assert int(fine_run.history.step[-1]) == fine_run.diverged_at - 1  # pyright: ignore[reportOptionalOperand]


def test_unknown_precision_names_the_known() -> None:
    with pytest.raises(ValueError, match=r"precision='half' is unknown.*bfloat16, float32"):
        train(SMALL, precision="half")


@pytest.mark.usefixtures("no_type_checker")
def test_cuda_without_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"device='cuda' is not available.*device='cpu'"):
        train(SMALL, device="cuda")
    with pytest.raises(ValueError, match=r"device='cude' is not a device"):
        train(SMALL, device="cude")
    with pytest.raises(ValueError, match=r"device=\d+ is not a device"):
        train(SMALL, device=2**64)


def test_progress_bar_shows_steps_and_accuracies(
    terminal: Callable[[], io.StringIO],
) -> None:
    stderr = terminal()
    gi.train(SMALL)
    shown = stderr.getvalue()
    assert "40/40" in shown
    assert "train=" in shown
    assert "test=" in shown


def test_the_smallest_data_set_trains() -> None:
    run = train(SMALL.replace({"data.p": 2, "data.train_fraction": 0.3, "training.steps": 3}))
    assert np.isfinite(run.history.train_loss).all()


@pytest.mark.parametrize(("threads", "told"), [(0, "at least 1"), (10**9, "at most 1024")])
def test_numbers_of_threads_have_bounds(threads: int, told: str) -> None:
    with pytest.raises(ValueError, match=f"threads must be {told}, got {threads}"):
        gi.train(SMALL, threads=threads, progress=False)


@pytest.mark.usefixtures("no_type_checker")
def test_what_is_no_config_is_refused_and_any_iterable_will_do() -> None:
    with pytest.raises(TypeError, match="configs must be RunConfigs, got 'addition'"):
        gi.train_many(["addition"], progress=False)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"a part of one, as in gi\.RunConfig\(model=gi\.MLPConfig"):
        gi.train(gi.MLPConfig(), progress=False)  # pyright: ignore[reportArgumentType]
    seeds = (SMALL.replace({"seed": seed, "training.steps": 2}) for seed in range(2))
    assert [run.config.seed for run in gi.train_many(seeds, progress=False)] == [0, 1]


@pytest.mark.parametrize("name", ["train_loss", "norm", "step"])
def test_a_probe_may_not_take_the_historys_names(name: str) -> None:
    with pytest.raises(ValueError, match=f"probes has '{name}'"):
        train(SMALL, probes={name: lambda model: 0.0})


def test_a_probe_that_gives_no_number_or_changes_its_shape_is_named() -> None:
    with pytest.raises(TypeError, match="probe 'word' must return a number"):
        train(SMALL, probes={"word": lambda model: "high"})
    sizes = iter(range(1, 100))
    with pytest.raises(ValueError, match=r"probe 'ragged' returned shape \[2\] at step 8"):
        train(SMALL, probes={"ragged": lambda model: torch.zeros(next(sizes))})


def test_probes_work_in_float64_without_keeping_the_weights() -> None:
    run = train(SMALL, precision="float64", probes={"row": lambda model: model.W_U[0]})
    rows = run.history.row.values
    assert not np.array_equal(rows[0], rows[-1])
    np.testing.assert_allclose(rows[-1], run.model.W_U[0].detach())


def test_divergence_at_the_start_keeps_the_neighbours_and_their_probes() -> None:
    wild = gi.MLPConfig(n_layers=14, init="lazy", d_mlp=64)
    config = SMALL.replace({"model": wild, "training.steps": 3})
    with pytest.warns(gi.DivergenceWarning):
        run = train(config, probes={"one": lambda model: 1.0})
    assert run.diverged_at == 0
    assert run.history.sizes["step"] == 0


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        ({"a/b": float}, r"'a/b', which cannot name a variable of the history's file"),
        ({"": float}, r"probes has '', which cannot name"),
        ({".": float}, r"'\.', which cannot name"),
        ({"a\0b": float}, r"which cannot name"),
        ({"\ud800": float}, r"which cannot name"),
        ({"_nc4_non_coord_x": float}, r"which cannot name"),
        ({3: float}, r"probes has the name 3; a name must be a string"),
        ({"train_loss": float}, r"a name already in use in the history"),
        ({"step": float}, r"a name already in use in the history"),
        ({"a": 3}, r"probe 'a' must be a function of the hooked model, got 3"),
        ([float], r"probes must map names to functions"),
    ],
)
@pytest.mark.usefixtures("no_type_checker")
def test_probes_that_could_not_be_saved_are_refused_before_training(
    probes: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_stack(*args: object, **kwargs: object) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr(trainer, "Stack", no_stack)
    with pytest.raises((ValueError, TypeError), match=message):
        train(SMALL, probes=probes)


def test_a_probe_of_more_axes_than_a_file_stores_is_refused_at_the_first_row(
    tmp_path: Path,
) -> None:
    seen: list[int] = []

    def probe(axes: int) -> Callable[[Any], torch.Tensor]:
        return lambda model: seen.append(axes) or torch.ones([1] * axes)

    with pytest.raises(
        ValueError, match=r"probe 'a' returned 32 axes; the history can store at most 31"
    ):
        train(SMALL, probes={"a": probe(32)})
    assert seen == [32]
    run = train(SMALL.replace({"training.steps": 1}), probes={"a": probe(31)})
    assert gi.Run.load(run.save(tmp_path / "run")).history.a.ndim == 32


@pytest.mark.usefixtures("no_type_checker")
@pytest.mark.parametrize("device", ["meta", "mps", "xpu", "vulkan", "", "cude", (1, 2)])
def test_other_devices_than_cpu_and_cuda_are_refused(device: Any) -> None:
    with pytest.raises(ValueError, match=r"(?s)device=.*use 'cpu' or 'cuda'"):
        gi.train_many([SMALL], device=device)


def test_a_cuda_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"device='cuda:7' is not available: torch sees 1 CUDA"):
        gi.train_many([SMALL], device="cuda:7")
