"""HTTP service over the live releases of a registry: `pinrec serve`, see docs/serving.md."""
