"""What the first paper's figures show of several runs side by side, a file for each figure."""
