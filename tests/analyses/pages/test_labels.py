"""Labels of runs name what differs between their configs, and nothing else."""

import pytest

import grokinterp as gi
from analyses.pages.labels import run_labels

BASE = gi.RunConfig()
WD, DROPOUT, BATCH = "training.weight_decay", "training.dropout", "training.batch_size"
NORM, LAYERS = "model.norm", "model.n_layers"


@pytest.mark.parametrize(
    "labelled",
    [
        [({}, "")],
        [({WD: 0.0}, "weight decay 0"), ({WD: 5.0}, "weight decay 5")],
        [({NORM: "batch"}, "norm batch"), ({NORM: None, DROPOUT: 0.3}, "norm none")],
        [
            ({"data.p": 5}, "p 5, dropout probability 0"),
            ({"data.p": 5, DROPOUT: 0.3}, "p 5, dropout probability 0.3"),
            ({"data.p": 7}, "p 7, dropout probability 0"),
        ],
        [({"training": BASE.training.at_batch_size(n)}, f"batch size {n}") for n in (8, 64)],
        [({BATCH: 64}, "batch size 64"), ({BATCH: None}, "batch size all")],
        [({"seed": 1, "data.seed": 1}, "seed 1"), ({"seed": 2, "data.seed": 2}, "seed 2")],
        [({"seed": 1, "data.seed": 1}, "seed 1"), ({"seed": 1, "data.seed": 2}, "seed 2")],
        [({}, "(run 1)"), ({}, "(run 2)")],
        [({"training.eval_every": 5}, "(run 1)"), ({"training.eval_every": 10}, "(run 2)")],
        [({LAYERS: 2}, "layers 2 (run 1)"), ({LAYERS: 2}, "layers 2 (run 2)"), ({}, "layers 1")],
    ],
)
def test_labels_tell_runs_apart(labelled: list[tuple[dict[str, object], str]]) -> None:
    changes, expected = zip(*labelled, strict=True)
    assert run_labels([BASE.replace(change) for change in changes]) == list(expected)


def test_architectures_are_named_by_their_kind() -> None:
    models = [gi.MLPConfig(), gi.TransformerConfig(d_model=8), gi.LSTMConfig()]
    configs = [BASE.replace({"model": model, "training.weight_decay": 1.0}) for model in models]
    assert run_labels(configs) == ["MLP", "Transformer", "LSTM"]
    wider = configs[1].replace({"model.d_mlp": 9})
    widths = ["MLP, neurons N 500", "Transformer, neurons N none", "Transformer, neurons N 9"]
    assert run_labels([configs[0], configs[1], wider]) == widths
    narrower = configs[1].replace({"model.n_heads": 2})
    heads = ["MLP", "Transformer, heads 4", "Transformer, heads 2"]
    assert run_labels([configs[0], configs[1], narrower]) == heads
    tied = [BASE.replace({"model": gi.TransformerConfig(tie_embedding=t)}) for t in (False, True)]
    assert run_labels(tied) == ["tied embedding no", "tied embedding yes"]


def test_a_function_is_named_not_written_out() -> None:
    def strange(a: int, b: int) -> int:
        return (a * a + b) % 5

    configs = [BASE.replace({"data.p": 5, "data.operation": f}) for f in ("addition", strange)]
    first, second = run_labels(configs)
    assert first == "operation addition"
    assert second.startswith("operation ")
    assert "strange" in second
    assert len(second) < 60
