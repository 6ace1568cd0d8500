"""Names of the files of a model directory that others look into, without the weight of what reads the model."""

DESCRIPTION = "model.json"  # what it is built from: [model], [log], weights of experts
TRAINING = "training.json"  # how it was trained, and its base model: written by training
