"""Published networks of Zhong et al. 2023: their reference values, and the verdicts on them."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from grokinterp.frequencies import filtered_embedding
from grokinterp.models.zhong2023 import load_zhong2023
from grokinterp.tasks import operation_table
from probes import accuracy, loss, model_table_spectra, network_on_pairs
from probes.circularity import model_circularity
from probes.clock_pizza import model_clock_or_pizza
from probes.distance import model_distance_irrelevance
from probes.symmetricity import gradient_symmetricity

FOLDER = os.environ.get("GROKINTERP_ZHONG2023")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="GROKINTERP_ZHONG2023 does not name the folder of the published networks"
)

A, B, BETA, CONTROL = "p99zdpze5l", "l8k1hzciux", "p71frej8t7", "n9n7h3p965"
LABELS = operation_table("addition", 59).flatten()


def network(name: str, dtype: torch.dtype = torch.float64) -> Any:
    assert FOLDER
    return load_zhong2023(Path(FOLDER) / f"pizza_{name}.safetensors").to(dtype)


@pytest.mark.parametrize(
    ("name", "share", "entropy"),
    [
        (A, 1.0, pytest.approx(1.384e-7, abs=0.0005e-7)),
        (B, 1.0, pytest.approx(1.56e-7, abs=0.005e-7)),
        (BETA, 1.0, pytest.approx(6.2e-7, abs=0.05e-7)),
        (CONTROL, pytest.approx(0.5826, abs=5e-5), pytest.approx(2.1, abs=0.05)),
    ],
)
def test_accuracy_and_cross_entropy(name: str, share: Any, entropy: Any) -> None:
    logits = network_on_pairs(network(name)).logits()
    assert accuracy(logits, LABELS) == share
    assert loss(logits, LABELS, kind="cross_entropy") == entropy


@pytest.mark.parametrize(
    ("name", "published", "error"),
    [(A, 0.993665, 1e-4), (B, 0.333638, 0.039), (BETA, 1.0, 1e-9), (CONTROL, 0.954309, 0.0018)],
)
def test_symmetricity_of_the_published_triples(name: str, published: float, error: float) -> None:
    found = gradient_symmetricity(network(name), triples="published")
    assert found.value == pytest.approx(published, abs=6e-7)
    assert (found.n_triples, found.n_left_out) == (100, 0)
    assert found.standard_error == pytest.approx(error, rel=0.05, abs=1e-9)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("name", "value"), [(A, 0.993761), (B, 0.346125)])
def test_symmetricity_of_all_triples(name: str, value: float) -> None:
    # The printed digits do not need float64, which takes twice as long.
    found = gradient_symmetricity(network(name, torch.float32))
    assert found.value == pytest.approx(value, abs=1e-6)
    assert (found.n_triples, found.n_left_out) == (59**3, 0)
    assert found.standard_error == 0.0


@pytest.mark.parametrize(
    ("name", "value"), [(A, 0.171736), (B, 0.848260), (BETA, 0.230205), (CONTROL, 0.910022)]
)
def test_distance_irrelevance(name: str, value: float) -> None:
    found = model_distance_irrelevance(network(name), "addition")
    assert found == pytest.approx(value, abs=6e-7)


@pytest.mark.parametrize(
    ("name", "value"), [(A, 0.997818), (B, 0.998907), (BETA, 0.995042), (CONTROL, 0.522710)]
)
def test_circularity(name: str, value: float) -> None:
    (found,) = model_circularity(network(name), "addition").values()
    assert found.value == pytest.approx(value, abs=6e-7)
    assert found.sensitivity < 1e-6


@pytest.mark.parametrize(
    ("name", "total", "digits", "dominant"),
    [
        (A, 0.203544, 6, [17, 3, 15, 25, 6, 29]),
        (B, 0.3088, 4, [13, 16, 21, 17]),
        (BETA, 0.1894, 4, [29, 24, 14, 17]),
        (CONTROL, 0.0393, 4, [29]),
    ],
)
def test_embedding(name: str, total: float, digits: int, dominant: list[int]) -> None:
    found = model_table_spectra(network(name), "addition")["W_E"]
    assert found.total_ipr == pytest.approx(total, abs=0.6 * 10**-digits)
    assert found.dominant(0.05) == dominant


@pytest.mark.parametrize(
    ("name", "frequencies", "keep", "value"),
    [
        (A, [17, 3, 15, 25, 6, 29], True, 1.000),
        (A, [17, 3, 15, 25, 6, 29], False, 0.014),
        (A, [17], False, 0.492),
        (B, [13, 16, 21, 17], True, 1.000),
        (B, [13], False, 0.194),
    ],
)
def test_accuracy_without_frequencies(
    name: str, frequencies: list[int], keep: bool, value: float
) -> None:
    model = network(name)
    with filtered_embedding(model, frequencies, keep=keep):
        assert accuracy(network_on_pairs(model).logits(), LABELS) == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize(
    ("name", "verdict"), [(A, "pizza"), (B, "clock"), (BETA, "pizza"), (CONTROL, "refused")]
)
def test_verdict(name: str, verdict: str) -> None:
    found = model_clock_or_pizza(network(name), triples="published")
    assert found.verdict == verdict
    if name == CONTROL:
        assert "accuracy 0.5826 over all pairs is below 0.99" in found.reason
        assert "symmetricity 0.954 and distance irrelevance 0.910" in found.reason
