"""Gate, release bundle, verification and promotion: nothing becomes live without a verdict and a verification."""
