"""The image, and the compiled pipeline in it: `make test-containers`."""
