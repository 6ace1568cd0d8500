"""Names of the files of a model directory that others look into, without the weight of what reads the model."""

TRAINING = "training.json"  # how it was trained, and its base model: written by training
