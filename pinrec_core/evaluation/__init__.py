"""Measuring a model on one surface: cohort, metrics with intervals, baselines, comparison with the live release."""
