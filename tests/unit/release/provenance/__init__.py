"""Tests of where a release comes from."""
