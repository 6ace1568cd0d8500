"""pinrec: a gated, versioned generative-retrieval workflow over anyone's event logs."""

__version__ = "0.1.0"
