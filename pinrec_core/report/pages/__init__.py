"""The pages of a report: what the templates are given, and the files that they become."""
