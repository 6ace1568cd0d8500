"""notify: tell how a run ended, to the log, to its folder, and to the webhook of [notify]. `pinrec notify RUN_FOLDER`.

No channel that fails stops another one, and none ends the run.
"""

from __future__ import annotations

import logging

from pinrec_core.config import NotifyConfig
from pinrec_core.errors import ConfigError
from pinrec_core.report.message import Message, message_of
from pinrec_core.report.run_facts import RunStatus
from pinrec_core.report.run_folder import record_message
from pinrec_core.report.webhook import Delivery, post

_LEVELS = {RunStatus.FAILED: logging.ERROR, RunStatus.REJECTED: logging.WARNING}
log = logging.getLogger("pinrec")


def notify(run_dir: str, section: str = "{}") -> dict[str, Delivery]:
    """Tell of the run in a folder; `section` is [notify] as JSON. Returns what became of each channel.

    A section that cannot be read silences the webhook alone. Only a storage that fails raises.
    """
    message = message_of(run_dir)
    for line in message.text.splitlines():
        log.log(_LEVELS.get(message.status, logging.INFO), "notify: %s", line)
    channels = {"log": Delivery(True, "told")} | _webhook(message, section)
    for name, delivery in channels.items():
        if not delivery.delivered:
            log.error("notify: %s: %s", name, delivery.sentence)
    told = {name: delivery._asdict() for name, delivery in channels.items()}
    record_message(run_dir, message.model_dump(mode="json") | {"channels": told}, message.text + "\n")
    return channels | {"file": Delivery(True, "written")}


def _webhook(message: Message, section: str) -> dict[str, Delivery]:
    try:
        config = NotifyConfig.parse(section)
    except ConfigError as error:
        return {"webhook": Delivery(False, f"[notify] cannot be read: {error}")}
    return {"webhook": post(message.model_dump_json().encode(), config)} if config.webhook else {}
