"""Puts this folder on the path, for what tests of several kinds share: receiver.py, cut_line.py, object_storage.py,
quoted.py."""
