"""Plots of the report as inline SVG. Every function returns an <svg> element, or "" when there is nothing to draw."""
