"""What the ledger computes of the first paper's released code, against what is known of it."""

from pathlib import Path

from analyses.ledger.measures import released_code


def test_full_batches_take_no_step(tmp_path: Path) -> None:
    steps = released_code.batch_rule(seeds=1, work=tmp_path).steps
    assert steps.values.tolist() == [64000, 2000, 0]


def test_grid_and_noise(tmp_path: Path) -> None:
    """Labels below p - 1 are never p - 1; of 1646 from all p, 17 +- 4 are."""
    data = released_code.grids_and_noise(seeds=4, work=tmp_path)
    assert (data.corruptions, data.in_text, data.smallest) == (17, 17, 0.1)
    assert (data.last_label == 0).all()
    assert abs(float(data.last_label_of_all.mean()) - 1646 / 97) < 4 * 4.1 / 2


def test_forgetting_and_confusion_end_alike(tmp_path: Path) -> None:
    assert released_code.end_points(seeds=1, work=tmp_path).phases == 2


def test_a_mask_hides_nothing_from_the_last_token_of_one_layer(tmp_path: Path) -> None:
    change = released_code.attention_mask(seeds=1, work=tmp_path).change
    assert change.sel(layers=1).max() < 1e-6
    assert change.sel(layers=2).min() > 0.01
