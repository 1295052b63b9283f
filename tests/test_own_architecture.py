"""A registered architecture that only answers HookedModel's questions is read by every probe.

None of its names are TransformerLens', and it computes what a ``HookedMLP`` with the same weights
computes. So every number must be the ``HookedMLP``'s.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
import xarray as xr
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

import grokinterp as gi
import probes
from analyses import hypothesis, progress_measures
from analyses.one_run.stored_networks import checkpoints_at
from analyses.pages.report import Report
from grokinterp.models.read_out import Neurons, Part, ReadOut
from grokinterp.models.registry import MODELS
from probes.logit_parts import logit_parts
from probes.needed_norm import least_norm, matched_norm
from probes.parameter_norms import parameter_norm
from tests.fuzz.readings import PROBES, check_complete, numbers
from tests.networks import half_periodic_mlp

P, WIDTH = 11, 30
DATA = gi.make_dataset(gi.DataConfig(p=P, corruption=0.2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnConfig:
    d_mlp: int = WIDTH
    has_norm: bool = False


class Own(gi.HookedModel):
    """Two tables added, squared, normalised if asked for, and read out."""

    config_class = OwnConfig

    def __init__(self, config: OwnConfig, *, p: int, seed: int = 0) -> None:
        super().__init__(config, p=p)
        rng = torch.Generator().manual_seed(seed)

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=rng, dtype=torch.float32))

        self.left, self.right = drawn(p, config.d_mlp), drawn(p, config.d_mlp)
        self.answers = drawn(config.d_mlp, p)
        self.volume = nn.Parameter(torch.ones(config.d_mlp)) if config.has_norm else None
        self.offset = nn.Parameter(torch.zeros(config.d_mlp)) if config.has_norm else None
        self.hook_embed, self.units, self.louder = HookPoint(), HookPoint(), HookPoint()
        self.setup()

    def logits(self, tokens: Tensor) -> Tensor:
        a, b = tokens.unbind(dim=1)
        embed = self.hook_embed(torch.stack([self.left[a], self.right[b]], dim=1))
        units = self.units(embed.sum(dim=1) ** 2)
        if self.volume is not None:
            units = nn.functional.layer_norm(units, units.shape[-1:], self.volume, self.offset)
        return self.louder(units) @ self.answers

    @property
    def input_tables(self) -> Mapping[str, Tensor]:
        return {"left": self.left, "right": self.right}

    @property
    def input_weights(self) -> Sequence[Tensor]:
        return [self.left, self.right]

    @property
    def neuron_hooks(self) -> Sequence[Sequence[str]]:
        return [["units"]]

    @property
    def gains(self) -> Mapping[int, str]:
        return {} if self.volume is None else {0: "volume"}

    def only_neurons(self, keep: Tensor) -> "Own | None":
        if self.volume is not None:
            return None
        part = Own(OwnConfig(d_mlp=int(keep.sum())), p=P)
        tables = {"left": self.left[:, keep], "right": self.right[:, keep]}
        part.adopt({**tables, "answers": self.answers[keep]})
        return part

    @property
    def read_out(self) -> ReadOut:
        return ReadOut.of(self, self.answers, hook="louder")

    @property
    def direct_path(self) -> Sequence[Part]:
        return [Neurons("louder")]

    @property
    def scale_powers(self) -> Mapping[str, Sequence[int]] | None:
        if self.volume is not None:
            return None
        return {"left": (1,), "right": (1,), "answers": (-2,)}

    @classmethod
    def describe(cls, config: OwnConfig) -> str:
        return f"Own {config.d_mlp}"


def twins(*, has_norm: bool = False) -> tuple[Own, gi.HookedMLP]:
    """An own network and a HookedMLP with the same weights, more or less periodic."""
    theirs = half_periodic_mlp(P, WIDTH, has_norm=has_norm)
    own = Own(OwnConfig(has_norm=has_norm), p=P).double().eval()
    with torch.no_grad():
        own.left.copy_(theirs.W_E[0])
        own.right.copy_(theirs.W_E[1])
        own.answers.copy_(theirs.W_U)
        if own.volume is not None and own.offset is not None:
            own.volume.copy_(theirs.get_parameter("layers.0.norm.gamma"))
            own.offset.copy_(theirs.get_parameter("layers.0.norm.beta"))
    own.operation = "addition"
    torch.testing.assert_close(own(DATA.tokens), theirs(DATA.tokens))
    return own, theirs


NEEDS_A_NORM = {"model_gamma_ipr"}
REFUSES_A_NORM = {"least_norm", "model_neuron_attribution", "pruning_curve"}
# Compared below, or not at all: a HookedMLP's two tables are one parameter.
NAMES_PARAMETERS = {"halves", "norms_by_layer", "weight_norms"}


def same(own: object, theirs: object) -> None:
    """All numbers in two results, in their order."""
    found, expected = (
        [torch.as_tensor(part).double().flatten() for part in numbers(result)]
        for result in (own, theirs)
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("has_norm", [False, True])
@pytest.mark.parametrize("name", sorted(PROBES.keys() - NAMES_PARAMETERS))
def test_every_probe_reads_it(name: str, has_norm: bool) -> None:
    own, theirs = twins(has_norm=has_norm)
    if name in (REFUSES_A_NORM if has_norm else NEEDS_A_NORM):
        for model in (own, theirs):
            with pytest.raises((TypeError, ValueError), match="norm"):
                PROBES[name](model, DATA, "addition")
        return
    same(*(PROBES[name](model, DATA, "addition") for model in (own, theirs)))


def test_probes_of_any_network_are_all_tried() -> None:
    check_complete()


def test_norms_and_scalings_are_those_of_the_same_network() -> None:
    own, theirs = twins()
    labels = theirs(DATA.tokens).argmax(dim=1)
    for norm in (matched_norm, least_norm):
        found = norm(own, DATA.tokens, labels, 2.0)
        assert found == pytest.approx(norm(theirs, DATA.tokens, labels, 2.0))
    assert parameter_norm(own) == pytest.approx(parameter_norm(theirs))
    with_norm, _ = twins(has_norm=True)
    with pytest.raises(TypeError, match="layers can be scaled against each other"):
        least_norm(with_norm, DATA.tokens, labels, 2.0)


@pytest.mark.parametrize("has_norm", [False, True])
def test_its_logits_are_split_by_neurons(has_norm: bool) -> None:
    same(
        *(logit_parts(model, DATA.tokens, low=0.2, high=0.5) for model in twins(has_norm=has_norm))
    )


def test_its_halves_are_networks_like_it() -> None:
    own, theirs = (probes.halves(model, 0.5) for model in twins())
    assert all(isinstance(half, Own) for half in own.values())
    for kind, half in own.items():
        same(half(DATA.tokens), theirs[kind](DATA.tokens))


def test_the_hypothesis_is_tried_on_it() -> None:
    own, theirs = (
        hypothesis.compute_model(model, "addition", dataset=DATA, random_draws=2)
        for model in twins()
    )
    assert own.architecture.item() == f"Own {WIDTH}"
    assert own.hook.item() == "units"
    xr.testing.assert_allclose(
        *(data.drop_vars(["architecture", "hook"]) for data in (own, theirs)), rtol=1e-9
    )


class Uneven(gi.HookedModel):
    """Each operand has a table of a width of its own."""

    config_class = OwnConfig

    def __init__(self, config: OwnConfig, *, p: int, seed: int = 0) -> None:
        super().__init__(config, p=p)
        rng = torch.Generator().manual_seed(seed)
        self.narrow, self.wide, self.W_U = (
            nn.Parameter(torch.randn(shape, generator=rng, dtype=torch.float32))
            for shape in ((p, 2), (p, 3), (6, p))
        )
        self.hook_post = HookPoint()
        self.setup()

    def logits(self, tokens: Tensor) -> Tensor:
        a, b = self.narrow[tokens[:, 0]], self.wide[tokens[:, 1]]
        return self.hook_post((a[:, :, None] * b[:, None, :]).flatten(start_dim=1)) @ self.W_U

    @property
    def input_tables(self) -> Mapping[str, Tensor]:
        return {"narrow": self.narrow, "wide": self.wide}


def test_tables_of_different_widths_are_filtered_and_given_back() -> None:
    model = Uneven(OwnConfig(), p=P)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    data = hypothesis.compute_model(model, "addition", dataset=DATA, random_draws=2)
    assert data.n_features == 5
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    means = {name: table.mean(dim=0) for name, table in model.input_tables.items()}
    with torch.no_grad(), gi.filtered_embedding(model, []):  # no frequency but the constant one
        for name, table in model.input_tables.items():
            torch.testing.assert_close(table, means[name].expand(P, -1))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_layers_of_neurons_are_ablated_by_number() -> None:
    own, theirs = twins()
    hooks = gi.ablate([0, 3], layer=0)
    same(*(model.run_with_hooks(DATA.tokens, fwd_hooks=hooks) for model in (own, theirs)))


def test_it_is_registered_trained_and_analysed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(MODELS, "own", Own)  # taken out again when the test is over
    gi.register_model("own", Own)
    config = gi.RunConfig(
        data=gi.DataConfig(p=P),
        model=OwnConfig(d_mlp=8),
        training=gi.TrainConfig(steps=3),
    )
    run = gi.train(config, probes={"ipr": probes.mean_ipr})
    assert float(run.history.ipr[-1]) == pytest.approx(probes.mean_ipr(run.model))
    (name,) = hypothesis.compute(run).architecture.values
    assert name == "Own 8"
    run.save(tmp_path / "run")
    assert gi.Run.load(tmp_path / "run").config == config
    monkeypatch.delitem(MODELS, "own")  # as in another session
    with pytest.raises(
        gi.RunFolderError, match=r"'own', which is not registered; .*register_model"
    ):
        gi.Run.load(tmp_path / "run")


class Bilinear(gi.HookedModel):
    """Rows of two tables, multiplied, under the names that TransformerLens has for them."""

    config_class = OwnConfig

    def __init__(self, config: OwnConfig, *, p: int, seed: int = 0) -> None:
        super().__init__(config, p=p)
        rng = torch.Generator().manual_seed(seed)
        self.W_E = nn.Parameter(
            torch.randn((2, p, config.d_mlp), generator=rng, dtype=torch.float32)
        )
        self.W_U = nn.Parameter(torch.randn((config.d_mlp, p), generator=rng, dtype=torch.float32))
        self.hook_embed, self.hook_post = HookPoint(), HookPoint()
        self.setup()

    def logits(self, tokens: Tensor) -> Tensor:
        a, b = tokens.unbind(dim=1)
        embed = self.hook_embed(torch.stack([self.W_E[0][a], self.W_E[1][b]], dim=1))
        return self.hook_post(embed.prod(dim=1)) @ self.W_U


def test_neurons_that_see_a_product_have_measures_of_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MODELS, "bilinear", Bilinear)
    gi.register_model("bilinear", Bilinear)
    config = gi.RunConfig(
        data=gi.DataConfig(p=P, corruption=0.2),
        model=OwnConfig(d_mlp=8),
        training=gi.TrainConfig(steps=4, eval_every=2),
    )
    run = gi.train(config, progress=False, checkpoints=checkpoints_at([2]))
    data = progress_measures.compute(run)
    assert "share, hook_post" in data.neurons.values
    assert data.periodicity.notnull().all()
    assert "progress measures" not in Report(run).not_shown
