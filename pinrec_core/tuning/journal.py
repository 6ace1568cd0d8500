"""The study on disk: Optuna's journal in a folder that one tuning at a time holds.

A process that is killed leaves a trial that runs for ever, perhaps half a line, perhaps a lock. Going on therefore
begins with a new journal of the trials that are finished, which takes the old one's place; so what ran when it was
killed has left nothing behind, and is tried again under its number.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial

from pinrec_core.config import TuneConfig
from pinrec_core.errors import ConfigError, ConflictError, IntegrityError

JOURNAL = "journal.log"
_NAME = "pinrec tune"
_SETTINGS = "settings"  # user attribute: fingerprint of all that the measure of a draw depends on


@contextlib.contextmanager
def opened_study(folder: Path, settings: str, tune: TuneConfig, resume: bool) -> Iterator[optuna.Study]:
    """Yield the study of a folder, with all its finished trials; `settings` is the fingerprint it must have.

    Raises IntegrityError if there is one already and it is not to be resumed, or its journal is damaged, ConfigError if
    it is of other settings or data, ConflictError while another process works on it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(f"{folder}: another tuning is at work there; wait for it or choose another "
                                "--study") from error
        finished = _finished(folder / JOURNAL, settings, resume)
        yield _renewed(folder / JOURNAL, settings, tune, finished)


def _finished(journal: Path, settings: str, resume: bool) -> list[FrozenTrial]:
    """The trials that are done with; none without a journal."""
    if not journal.exists():
        return []
    study = _loaded(journal)
    if not resume:
        raise IntegrityError(f"{journal.parent}: holds a study of {len(study.trials)} trials already; pass --resume to "
                             "go on with it, or another --study")
    if study.user_attrs.get(_SETTINGS) != settings:
        raise ConfigError(f"{journal.parent}: its study is of other settings, data or another version of pinrec; "
                          "choose another --study, or give the configuration and dataset that it was begun with")
    return [trial for trial in study.trials if trial.state.is_finished()]


def _loaded(journal: Path) -> optuna.Study:
    try:
        return optuna.load_study(study_name=_NAME, storage=_storage(journal))
    except (KeyError, ValueError) as error:  # no such study; not JSON
        raise IntegrityError(f"{journal}: not a journal of `pinrec tune` ({error}); restore it or choose another "
                             "--study") from error


def _renewed(journal: Path, settings: str, tune: TuneConfig, finished: list[FrozenTrial]) -> optuna.Study:
    """A journal of the finished trials, in place of what was there; their numbers stay as they come first."""
    aside = journal.with_name(f".{journal.name}")
    for leftover in (aside, *journal.parent.glob("*.lock")):  # of a killed process: the folder is ours
        leftover.unlink(missing_ok=True)
    study = optuna.create_study(study_name=_NAME, storage=_storage(aside), direction="maximize")
    study.set_user_attr(_SETTINGS, settings)
    study.add_trials(finished)
    aside.replace(journal)
    pruner = optuna.pruners.SuccessiveHalvingPruner(tune.smallest_epochs, tune.halving_factor)
    return optuna.load_study(study_name=_NAME, storage=_storage(journal), pruner=pruner)


def _storage(journal: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(journal), JournalFileOpenLock(str(journal))))
