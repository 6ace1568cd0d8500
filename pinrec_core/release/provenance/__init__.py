"""Where a release comes from: the facts of its build, its lineage, its model card."""
