"""Pipelines: composition of components only. training.py tells the story; compile.py and local.py run it."""
