"""Channels: all hear of every run, and none that fails stops another one or the run."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from receiver import receiving

from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.config import NotifyConfig
from pinrec_core.report import run_folder
from pinrec_core.report.notify import notify


@pytest.fixture
def failed(run, monkeypatch) -> Path:
    """The folder of a failed run, and a secret."""
    monkeypatch.setenv("PINREC_WEBHOOK_SECRET", "s3cret")
    run_folder.record_failure(str(run), "pretrain", "loss is not finite", ["step 3 loss nan"])
    return run


def test_log_file_and_webhook_hear_the_same(failed, caplog):
    with receiving(200) as receiver, caplog.at_level(logging.INFO):
        channels = notify(str(failed), NotifyConfig(webhook=receiver.url).canonical_json())
    assert {name: channel.delivered for name, channel in channels.items()} == {
        "log": True, "file": True, "webhook": True}
    kept = json.loads((failed / "message.json").read_text())
    assert kept.pop("channels")["webhook"] == {"delivered": True, "sentence": "127.0.0.1 answered 200 at attempt 1"}
    assert json.loads(receiver.posts[0][1]) == kept
    assert kept["status"] == "failed" and kept["failed"]["lines"] == ["step 3 loss nan"]
    assert (failed / "message.txt").read_text() == kept["text"] + "\n"
    for line in kept["text"].splitlines():
        assert f"notify: {line}" in caplog.messages
    assert {record.levelno for record in caplog.records if record.message.startswith("notify: ")} == {logging.ERROR}


def test_a_webhook_that_fails_is_logged_and_kept_and_raises_nothing(failed, caplog):
    with receiving(404) as receiver, caplog.at_level(logging.INFO):
        channels = notify(str(failed), NotifyConfig(webhook=receiver.url).canonical_json())
    assert not channels["webhook"].delivered
    assert "notify: webhook: 127.0.0.1 answered 404 at attempt 1" in caplog.messages
    assert not json.loads((failed / "message.json").read_text())["channels"]["webhook"]["delivered"]


@pytest.mark.parametrize("section", ["", "{", "[]", '{"webhok": "x"}', '{"webhook": "ftp://x"}',
                                     '{"webhook": "http://[x"}', '{"webhook": "https:///path"}'])
def test_a_section_that_cannot_be_read_silences_the_webhook_alone(failed, section):
    channels = notify(str(failed), section)
    assert "cannot be read" in channels["webhook"].sentence
    assert "last lines of pretrain" in (failed / "message.txt").read_text()


def test_without_a_webhook_there_is_none(failed):
    assert set(notify(str(failed))) == {"log", "file"}


def pinrec(*arguments: str) -> int:
    settings = Settings()
    return execute(build_app(settings), settings, ["notify", *arguments])


def config_file(folder: Path, url: str) -> str:
    tiny = (Path(__file__).parents[3] / "pipelines/configs/tiny.toml").read_text("utf-8")
    path = folder / "config.toml"
    path.write_text(f'{tiny}\n[notify]\nwebhook = "{url}"\n', "utf-8")
    return str(path)


def test_by_hand_the_exit_code_tells_of_the_webhook(failed, tmp_path, capsys):
    with receiving(200, 404) as receiver:
        config = config_file(tmp_path, receiver.url)
        assert [pinrec(str(failed), "--config", config) for _ in range(2)] == [0, 1]
    assert capsys.readouterr().out.splitlines() == ["webhook: 127.0.0.1 answered 200 at attempt 1",
                                                    "webhook: 127.0.0.1 answered 404 at attempt 1"]
    assert pinrec(str(failed)) == 0


def test_a_wrong_folder_is_told(tmp_path, capsys):
    assert pinrec(str(tmp_path / "absent")) == 1
    assert "no run folder" in capsys.readouterr().err
