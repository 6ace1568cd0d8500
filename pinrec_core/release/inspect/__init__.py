"""Why a release answers as it does: for a user, for an item, and beside another release. `pinrec inspect`."""
