"""Tests of `pinrec doctor`: a package, so that they share a cluster (kubernetes_api.py)."""
