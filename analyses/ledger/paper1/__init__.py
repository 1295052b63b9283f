"""The first paper's entries, a module for each part of it."""

PARTS = (
    "analytic",
    "label_corruption",
    "neurons",
    "hypothesis",
    "norms",
    "collapse",
    "phase_diagrams",
    "diagram_variants",
    "other_networks",
    "further_networks",
    "errata",
)
