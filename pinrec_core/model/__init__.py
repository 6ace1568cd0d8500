"""The PinRec model: item encoder, time features, causal backbone, conditioned head."""
