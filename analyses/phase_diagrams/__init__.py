"""What many runs show: which phase each cell of a sweep is in."""
