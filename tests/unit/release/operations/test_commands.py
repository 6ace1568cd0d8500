"""pinrec registry and pinrec lineage from the command line: every command, its output, its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from quoted import says

from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.registry import read_aliases


@pytest.fixture
def pinrec(capsys, monkeypatch):
    """Run a command: (exit code, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        settings = Settings()
        code = execute(build_app(settings), settings, arguments)
        return (code, *capsys.readouterr())

    return run


def test_look_promote_go_back_and_check(pinrec, registry, releases, monkeypatch):
    monkeypatch.setenv("PINREC_REGISTRY", registry)
    (home, search), (bad, other) = releases["first"], releases["second"]
    assert pinrec("registry", "promote", home[:10], search[:10])[0] == 0
    code, out, _ = pinrec("registry", "list")
    assert code == 0 and f"{home[:12]} │ home" in out and "live" in out
    assert pinrec("registry", "promote", bad, other, "--force", "--reason", "try it", "--run-id", "r")[0] == 0
    assert read_aliases(registry)[0].history[-1]["run"] == "r"
    code, out, _ = pinrec("registry", "rollback", "home", "--reason", "worse")
    assert code == 0 and f"{bad} is marked bad: worse" in out
    code, out, _ = pinrec("registry", "show", bad[:10])
    assert code == 0 and "bad since" in out and "recall@10  0." in out and "gate: promote" in out
    code, out, err = pinrec("registry", "promote", bad, other)
    assert code == 1 and "was marked bad" in err and err.count("\n") == 1
    assert pinrec("registry", "freeze", "home", "--reason", "exam")[0] == 0
    assert pinrec("registry", "rollback", "home", "--reason", "r", "--to", bad)[0] == 1
    assert "(frozen)" in pinrec("registry", "list", "--surface", "home")[1]
    assert pinrec("registry", "unfreeze", "home")[0] == 0
    code, out, _ = pinrec("registry", "diff", home[:10], bad[:10])
    assert code == 0 and "recall@10" in out and " -> " in out
    code, out, _ = pinrec("registry", "verify")
    assert (code, out) == (0, "everything holds\n")
    code, out, _ = pinrec("registry", "gc", "--older-than", "0", "--keep", "1")
    assert code == 0 and f"remove  {other[:12]}" in out and "would be removed" in out
    code, out, _ = pinrec("registry", "gc", "--older-than", "0", "--keep", "1", "--apply")
    assert code == 0 and out.endswith("bytes removed\n") and not Path(registry, "releases", other).exists()


def test_json_for_scripts(pinrec, registry, releases):
    home, search = releases["first"]
    where = ("--registry", registry, "--json")
    assert {one["release_id"] for one in json.loads(pinrec("registry", "list", *where)[1])} >= {home, search}
    assert json.loads(pinrec("registry", "show", home, *where)[1])["release_id"] == home
    assert json.loads(pinrec("registry", "diff", home, search, *where)[1])["facts"]["surface"] == ["home", "search"]
    assert json.loads(pinrec("registry", "gc", *where)[1])["applied"] is False
    assert json.loads(pinrec("registry", "verify", *where)[1]) == []
    tree = json.loads(pinrec("lineage", home, *where)[1])
    assert tree["fingerprint"] == home and [one["role"] for one in tree["parents"]][:2] == ["dataset", "model"]


def test_findings_end_with_1(pinrec, registry, releases):
    home = releases["first"][0]
    path = Path(registry, "releases", home, "generation.json")
    path.write_bytes(path.read_bytes() + b" ")
    code, out, _ = pinrec("registry", "verify", "--registry", registry)
    assert code == 1 and out.startswith(f"{home[:12]}  ") and "generation.json: altered" in out
    assert out.endswith("1 findings\n")
    says("...: altered: sha256 ... (... bytes), manifest says ... (... bytes); rerun the step that wrote it", out)
    code, out, _ = pinrec("registry", "verify", "--registry", registry, "--json")
    assert code == 1 and json.loads(out)[0]["where"] == home


def test_force_and_reason_go_together(pinrec, registry, releases):
    for given in (("--force",), ("--reason", "r")):
        code, _, err = pinrec("registry", "promote", *releases["first"], "--registry", registry, *given)
        assert code == 1 and "--force needs a --reason" in err
    assert pinrec("registry", "rollback", "home", "--registry", registry)[0] == 2, "a reason is demanded"


def test_the_card_and_the_lineage_of_a_release(pinrec, registry, releases):
    home = releases["first"][0]
    code, out, _ = pinrec("registry", "show", home[:10], "--card", "--registry", registry)
    assert code == 0 and out.startswith("# Retrieval for surface home") and "## Verification" in out
    code, out, _ = pinrec("lineage", home[:10], "--registry", registry)
    assert code == 0 and out.startswith(f"release {home[:12]}") and "├─ model" in out


def test_the_older_commands_take_short_ids_too(pinrec, registry, releases, verdicts):
    ids = [release_id[:10] for release_id in releases["first"]]
    code, out, _ = pinrec("promote", *ids, "--verdict", str(verdicts["first"]), "--registry", registry)
    assert code == 0 and out.startswith("now live (revision 1)")
