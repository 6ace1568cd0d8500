"""Event logs in, training dataset out: importers, the synthetic world, the Beam aggregation and its checks."""
