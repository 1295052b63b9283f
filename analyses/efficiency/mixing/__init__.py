"""The mixture of two frozen circuits: how it is trained, predicted, judged and drawn."""
