"""History in, ranked candidates out: query generation, outcome budgets, compression, the item index, the merge."""

import os

# ONNX Runtime sends events to its maker unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
