"""Statistics of given numbers: intervals, crossing times, medians and critical sizes."""
