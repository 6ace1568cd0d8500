"""Run folder and report: what a person reads the morning after, made from JSON files alone."""
