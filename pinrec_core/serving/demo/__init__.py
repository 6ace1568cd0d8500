"""The demonstration: a page at /demo, and the lists it shows. Only with serve.demo; see docs/demo.md."""
