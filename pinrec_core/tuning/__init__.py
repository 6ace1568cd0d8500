"""A search over settings: seeded draws, successive halving on validation, resumable; Optuna keeps the journal."""
