"""What people do to a registry: look, compare, go back, freeze, clean up, check."""
