"""The second paper's entries, a module for each part of it."""

PARTS = (
    "settings",
    "grokking",
    "data_efficiency",
    "mixture",
    "model_efficiency",
    "conditions",
    "critical_size",
    "optima",
    "ungrokking",
    "semi_grokking",
)
