"""Counter-based random numbers, held to published values and to SciPy's tests."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from grokinterp.randomness import Words, fill_normal_, generator, stream
from tests.settings import chosen

CPU = torch.device("cpu")
N = 100_000


def words(source: int, start: int = 0, count: int = N) -> np.ndarray:
    return Words(count, CPU).draw(source, start, count).numpy().astype(np.uint64)


def normals(source: int, count: int = N, start: int = 0) -> torch.Tensor:
    return fill_normal_(torch.empty(count, dtype=torch.float64), source, start)


def test_words_are_splitmix64s() -> None:
    """The values that implementations of splitmix64 publish for seed 1234567."""
    want = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert words(1234567, count=5).tolist() == want
    assert words(1234567, start=3, count=2).tolist() == want[3:]


def test_a_stream_is_splitmix64_far_out_too() -> None:
    mask, state, at = (1 << 64) - 1, (1 << 63) + 12345, 10**15
    z = state + (at + 1) * 0x9E3779B97F4A7C15 & mask
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
    assert words(state, start=at, count=1).tolist() == [z ^ (z >> 31)]


@pytest.mark.parametrize("lane", range(4))
def test_every_16_bits_are_uniform(lane: int) -> None:
    drawn = words(stream(0, "dropout", 3, 1)).view(np.uint16)[lane::4]
    for byte in (drawn >> 8, drawn & 255):
        assert stats.chisquare(np.bincount(byte, minlength=256)).pvalue > 1e-3


def test_neighbouring_counters_lanes_steps_and_layers_are_independent() -> None:
    def lanes(*at: int) -> np.ndarray:
        return words(stream(0, "dropout", *at)).view(np.uint16).astype(float)

    here = lanes(5, 0)
    others = [np.roll(here, shift) for shift in (1, 2, 3, 4, 500)]
    others += [lanes(6, 0), lanes(5, 1), lanes(0, 5)]
    for other in others:
        assert abs(np.corrcoef(here, other)[0, 1]) < 5 / len(here) ** 0.5


def test_purposes_seeds_steps_and_layers_share_no_words() -> None:
    names = itertools.product(range(4), ("dropout", "weight_noise"), range(12), range(3))
    drawn = [
        words(stream(seed, name, step, layer), count=1000) for seed, name, step, layer in names
    ]
    assert len(np.unique(np.concatenate(drawn))) == len(drawn) * 1000


def test_streams_take_any_seed_and_are_the_same_tomorrow() -> None:
    assert stream(2**70, "dropout", 1) != stream(2**70 + 2**64, "dropout", 1)
    assert stream(0, "dropout") != stream(0, "dropout", 0) != stream(0, "dropout", 0, 0)
    # stored runs name their noise by these: a change makes them irreproducible
    assert stream(7, "dropout", 2, 1) == 10882409385195181455
    assert torch.randint(10**6, (1,), generator=generator(7, "split")).item() == 304456


def test_normals_pass_scipys_tests() -> None:
    drawn = normals(stream(0, "weight_noise", 4))
    assert stats.kstest(drawn.numpy(), "norm").pvalue > 1e-3
    for power, (moment, variance) in {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)}.items():
        deviation = float((drawn**power).mean()) - moment
        assert abs(deviation) < 4 * (variance / N) ** 0.5, power
    for other in (drawn.roll(1), drawn.roll(2), normals(stream(0, "weight_noise", 5))):
        assert abs(float((drawn * other).mean())) < 5 / N**0.5


def test_normals_do_not_depend_on_pieces_precision_or_the_sessions_dtype() -> None:
    source = stream(1, "update_noise", 0)
    whole = normals(source, 40_000)
    assert torch.equal(normals(source, 23_333, start=16_667), whole[16_667:])
    low = fill_normal_(torch.empty(40_000, dtype=torch.float32), source)
    torch.testing.assert_close(low.double(), whole, rtol=1e-5, atol=2e-6)
    with chosen(torch.set_default_dtype, torch.bfloat16, torch.get_default_dtype()):
        assert torch.equal(fill_normal_(torch.empty_like(low), source), low)
