"""The errors a user can cause or meet. Every message names the thing, the value, the limit and the next step."""


class PinrecError(Exception):
    """Base of every error whose message is meant for a person; the CLI prints it as one line."""


class ConfigError(PinrecError):
    """A setting is unknown, out of range, or contradicts another."""


class DataError(PinrecError):
    """An event log, catalog or dataset cannot be used as it is."""


class IntegrityError(PinrecError):
    """A file or directory is incomplete, altered, or belongs to something else."""


class ConflictError(PinrecError):
    """Somebody else changed the document between our read and our write."""


class TrainingError(PinrecError):
    """Training cannot go on, for example because the loss is no longer finite."""


class ReleaseRejected(PinrecError):
    """The gate refused the candidate; nothing was changed."""
