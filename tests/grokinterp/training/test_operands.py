"""The ways to compute a first layer, against a loop over the examples."""

from collections.abc import Callable

import pytest
import torch

from grokinterp.training.passes.operands import ByBags, ByGathers, ByProducts, FirstLayer

RUNS, ROWS, EXAMPLES, WIDTH = 3, 8, 11, 5

WAYS: dict[str, Callable[[torch.Tensor], FirstLayer]] = {
    "products": lambda entries: ByProducts(entries, ROWS, torch.float64),
    "gathers": lambda entries: ByGathers(entries, ROWS),
    "bags": lambda entries: ByBags(entries, ROWS),
}


@pytest.mark.parametrize("way", WAYS)
def test_sums_of_two_rows_and_their_gradient(way: str) -> None:
    rng = torch.Generator().manual_seed(0)
    entries = torch.stack(
        [
            torch.randint(0, 3, (RUNS, EXAMPLES), generator=rng),  # a row may have no example
            torch.randint(4, 8, (RUNS, EXAMPLES), generator=rng),
        ],
        dim=2,
    )
    tables = torch.randn(RUNS, ROWS, WIDTH, generator=rng, dtype=torch.float64)
    delta = torch.randn(RUNS, EXAMPLES, WIDTH, generator=rng, dtype=torch.float64)
    sums, of_tables = (torch.full_like(x, torch.nan) for x in (delta, tables))
    layer = WAYS[way](entries)
    sums, of_tables = layer.forward(tables, sums), layer.backward(delta, of_tables)

    want, want_back = torch.empty_like(delta), torch.zeros_like(tables)
    for run in range(RUNS):
        for example in range(EXAMPLES):
            first, second = entries[run, example].tolist()
            want[run, example] = tables[run, first] + tables[run, second]
            want_back[run, first] += delta[run, example]
            want_back[run, second] += delta[run, example]
    torch.testing.assert_close(sums, want)
    torch.testing.assert_close(of_tables, want_back)
    assert not of_tables[:, 3].any()
