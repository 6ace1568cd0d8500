"""Puts this folder on the path, for what tests of several kinds share: receiver.py, object_storage.py."""
