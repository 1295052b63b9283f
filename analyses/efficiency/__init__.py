"""Circuit efficiency: the second paper's experiments, as published and controlled."""
