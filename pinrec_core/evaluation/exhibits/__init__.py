"""What is shown of a candidate beside its metrics: outcomes, a map of the items, some users. Small and quick."""
