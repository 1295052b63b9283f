"""Draw the README's picture from a saved run: ``python docs/figures.py demo`` (needs kaleido)."""

import sys
from pathlib import Path

from analyses import pruning
from grokinterp import Run

if __name__ == "__main__":
    data = pruning.compute(Run.load(sys.argv[1]), orders=["ipr"])
    figure = pruning.plot_pruning(data)
    figure.write_image(Path(__file__).with_name("pruning.png"), width=980, height=460, scale=1.5)
