"""Configuration: strict keys, named culprits, sections that agree."""

import tomllib
from pathlib import Path

import pytest

from pinrec_core.config import Config, GateConfig, GenerationConfig, LaunchConfig, Level, LogConfig, ModelConfig
from pinrec_core.errors import ConfigError

VALID = """
name = "t"
[log]
surfaces = ["home"]
positive_actions = ["click", "save"]
negative_actions = ["hide"]
[gate.floors.home]
"recall@50" = 0.1
"""


def load(tmp_path, text: str) -> Config:
    path = tmp_path / "c.toml"
    path.write_text(text)
    return Config.load(path)


def test_defaults_fill_every_section(tmp_path):
    config = load(tmp_path, VALID)
    assert config.model == ModelConfig()
    assert config.log.action_names == ("click", "save", "hide")
    assert config.log.positive_mask == 0b011


@pytest.mark.parametrize(("addition", "message"), [
    ("[model]\nwidht = 3", "did you mean 'width'"),
    ("[model]\nwidth = 30\nheads = 4", "heads 4 does not divide width 30"),
    ("[model]\nwidth = -1", "got -1"),
    ("[finetune.experts.home]\nexposure = 1", "has no such expert"),
    ("[model]\naction_mask = 0.0\n[pretrain]\naction_loss = 0.5", "pretrain.action_loss 0.5"),
    ("[generation.budgets.home]\nclick = 0.5", "sum to 0.5"),
    ("[generation.budgets.home]\nbuy = 1.0", "not a positive action"),
    ("[generation.budgets.work]\nclick = 1.0", "not a modelled surface"),
    ("[index]\nkind = 'hnsw'\nnprobe = 8", "nprobe 8 is about the cells of an ivf index, kind is 'hnsw'"),
    ("[index]\ncodes = 'fp8'", "got 'fp8'"),
    ("[index.allow]\nwork = 'w.txt'", "index.allow.work: not a modelled surface"),
    ("[gate.floors.work]\n'recall@50' = 0.1", "not a modelled surface"),
    ("[gate]\nsurfaces.work.data_health.level = 'warn'", "gate.surfaces.work: not a modelled surface"),
    ("[gate]\nsurfaces.home.beats_baseline.levle = 'warn'", "surfaces.home: beats_baseline.levle: unknown key"),
    ("[gate]\nsurfaces.home.beat_baseline.level = 'warn'", "surfaces.home: beat_baseline: unknown key; did you mean"),
    ("[gate]\nrules.change_against_live.level = 'off'", "got 'off'"),
    ("[gate]\nrules.beats_baseline.baselines = ['popular']", "got 'popular'"),
    ("[gate]\nrules.max_drop_per_slice.slices.country = {}", "got 'country'"),
    ("[gate]\nrules.max_drop_per_slice.slices = {}", "at least 1 item"),
    ("[gate]\nrules.coverage.least = {'recall@50' = 0.1}", "gate.rules.coverage.least: unknown metric 'recall@50'"),
    ("[gate]\nsurfaces.home.coverage.least = {'coverage@7' = 0.1}", "unknown metric 'coverage@7'"),
    ("[gate]\nrules.embedding_health.min_effective_rank = 65", "is 65, the vectors have model.item_dim 64"),
    ("[gate]\non_reject = 'ignore'", "got 'ignore'"),
    ("[evaluation]\nks = [10, 50, 1000]", "generation.candidates is only 100"),
    ("[pretrain]\nrandom_negatives = 0\nin_batch_negatives = 0", "both 0"),
    ("[model]\noffsets_s = [60, 30]", "ascending"),
    ("[generation]\noffset_shares = [0.5, 0.2]", "sum to 0.7"),
    ("[generation]\noffset_shares = [0.5, 0.5]", "give 1 time offsets"),
    ("[finetune]\nfuture_targets = 2", "unknown key"),
    ("[launch]\nlauncher = 'slurm'", "got 'slurm'"),
    ("[launch]\nprocesses = 2", "set launcher = \"torchrun\""),
    ("[launch]\nlauncher = 'trainjob'", "needs trainjob.image"),
    ("[launch]\nlauncher = 'trainjob'\ntrainjob.image = 'i'", "needs trainjob.claim"),
    ("[launch]\nlauncher = 'trainjob'\ncheckpoints = '/tmp/c'\ntrainjob = {image = 'i', claim = 'c'}",
     "does not lie below trainjob.volume '/mnt/pinrec'"),
    ("[launch.trainjob]\nvolume = '/'", "no absolute folder below /"),
    ("[launch.trainjob]\nmemory = '16 GB'", "got '16 GB'"),
    ("[aggregate]\neval_days = 40", "leaves nothing of lookback_days 30"),
])
def test_a_bad_value_is_named(tmp_path, addition, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        load(tmp_path, VALID + addition)


def test_a_launch_section_crosses_without_its_defaults(tmp_path):
    assert load(tmp_path, VALID).launch.canonical_json() == "{}"
    changed = load(tmp_path, VALID + "[launch]\nmax_restarts = 1\nrestart_pause_s = 10.0").launch
    assert changed.canonical_json() == '{"max_restarts":1}'
    assert LaunchConfig.parse(changed.canonical_json()) == changed


def test_a_surface_without_floor_is_invalid(tmp_path):
    with pytest.raises(ConfigError, match="surface 'work' has no floor"):
        load(tmp_path, VALID.replace('["home"]', '["home", "work"]'))


def test_a_surface_whose_floors_only_warn_is_invalid(tmp_path):
    with pytest.raises(ConfigError, match="surface 'home' has no floor of level error"):
        load(tmp_path, VALID.replace("= 0.1", "= {least = 0.1, level = 'warn'}"))


def test_a_surface_takes_the_rules_and_what_differs_there(tmp_path):
    gate = load(tmp_path, VALID + """
[gate.rules.beats_baseline]
baselines = ["popularity"]
[gate.surfaces.home]
beats_baseline.level = "warn"
change_against_live.tolerance = 0.5
data_health = {}
""").gate
    assert gate.rules.beats_baseline.level is Level.ERROR and gate.rules.data_health is None
    here = gate.rules_of("home")
    assert (here.beats_baseline.level, here.beats_baseline.baselines) == (Level.WARN, ("popularity",))
    assert here.change_against_live.tolerance == 0.5 and here.data_health.max_warnings == 0
    assert gate.rules_of("elsewhere") == gate.rules
    assert GateConfig.parse(gate.model_dump_json()) == gate


def test_the_example_of_the_docs_can_be_read():
    text = (Path(__file__).parents[3] / "docs/gate.md").read_text("utf-8")
    lines = [line.removeprefix("    ") for line in text.splitlines() if line.startswith("    ")]
    gate = GateConfig.model_validate(tomllib.loads("\n".join(lines))["gate"])
    assert gate.floors["home"]["hit_rate@10"].level is gate.rules_of("home").beats_baseline.level is Level.WARN
    assert gate.rules_of("search").max_drop_per_slice.limits("action").tolerance == 0.2


def test_a_floor_names_a_known_metric(tmp_path):
    with pytest.raises(ConfigError, match="unknown metric 'recall@7'"):
        load(tmp_path, VALID.replace("recall@50", "recall@7"))


def test_not_toml_and_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="not TOML"):
        load(tmp_path, "name = ")
    with pytest.raises(ConfigError, match="no such configuration file"):
        Config.load(tmp_path / "absent.toml")


def test_repeated_names_are_refused():
    with pytest.raises(ValueError, match="'click' is named more than once"):
        LogConfig(surfaces=("home",), positive_actions=("click",), negative_actions=("click",))


def test_a_section_survives_the_component_boundary():
    section = GenerationConfig(steps=6, budgets={"home": {"click": 1.0}})
    assert GenerationConfig.parse(section.model_dump_json()) == section
    with pytest.raises(ConfigError, match="did you mean 'steps'"):
        GenerationConfig.parse('{"step": 3}')
