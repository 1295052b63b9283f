"""The first paper's entries, a module for each part of it."""

PARTS = (
    "analytic",
    "label_corruption",
    "neurons",
    "norms",
    "collapse",
    "phase_diagrams",
    "other_networks",
    "errata",
)
