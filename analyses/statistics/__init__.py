"""Intervals, crossings and critical sizes, of numbers that are given."""
