"""Pipelines: composition of components only. training.py tells the story, pods.py what a cluster adds to it."""
