"""History in, ranked candidates out: query generation, outcome budgets, compression, the item index, the merge."""
