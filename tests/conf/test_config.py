"""Every YAML composes and validates; every mistake is named."""

import os
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from gulmfit.checks import missing_keys
from gulmfit.config import compose, config_dir, data_dir, validate
from gulmfit.errors import ConfigError

GIVEN = {
    "fasta": ["data.path=genome.fa"],
    "table": ["data.path=table.csv"],
    "chipseq": ["data.path=peaks_AC.seq.gz"],
    "folder": ["data.path=dataset"],
    "reads": ["data.path=genes.fa"],
    "positives": ["data.path=positives.fa"],
    "fasta_classes": ["data.classes={a: a.fa, b: b.fa}"],
    "annotation": ["data.genome=a.fa", "data.annotation=a.gff3"],
    "own": ["arch._target_=gulmfit.models.awd_rnn.AWDRNN"],
}
STAGES = ("pretrain", "finetune", "classify", "ulmfit")


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


def everything() -> list[tuple[str, str]]:
    groups = sorted(path.name for path in config_dir().iterdir() if path.is_dir() and path.name != "__pycache__")
    return [(group, name) for group in groups if group not in ("hydra", "local") for name in choices(group)]


@pytest.mark.parametrize(("group", "name"), everything())
def test_every_file_composes_and_validates(group: str, name: str) -> None:
    extra = GIVEN.get(name, []) if group in ("data", "arch") else []
    extra = ["panel.path=peaks"] if "panel" in (group, name) else extra
    # A head and its dropout belong to a stage; everything else goes with the default one.
    stage = {"classifier": ["stage=classify"], "labeller": ["stage=label"]}.get(name, [])
    if group in ("search", "panel"):
        stage = [f"stage={group}"]
    if group == "tune" and name != "none":
        stage = ["stage=label", "init_from=outputs/label/mine"]
    if name == "tracks":
        stage = ["stage=label", "head=tracks"]
    if name == "codons" and group in ("head", "recipe"):
        stage = ["stage=label"]
    validate(compose([*stage, f"{group}={name}", *extra]))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("data", choices("data"))
def test_every_stage_goes_with_every_kind_of_data(stage: str, data: str) -> None:
    config = compose([f"stage={stage}", f"data={data}", *GIVEN.get(data, [])])
    validate(config)
    assert config.stage.name == stage
    assert config.paths.run_dir == f"outputs/{stage}/default"


def test_the_command_line_beats_the_experiment_which_beats_the_stage() -> None:
    assert compose(["stage=pretrain"]).batch_size == 64
    assert compose(["experiment=demo_simulated", "stage=pretrain"]).batch_size == 32
    assert compose(["experiment=demo_simulated", "stage=pretrain", "batch_size=7"]).batch_size == 7
    assert compose(["experiment=ecoli_lm"]).stage.name == "pretrain"
    assert compose(["experiment=ecoli_lm", "stage=classify"]).stage.name == "classify"


@pytest.mark.parametrize("words", [["stage=classify"], ["stage=classify", "cv.folds=3"], ["stage=ulmfit"]])
def test_ensembles_and_blends_go_with_classifiers(words: list[str]) -> None:
    config = compose([*words, "ensemble=3", "blend=true"])
    validate(config)
    assert (config.ensemble, config.blend) == (3, True)
    assert (compose(words).ensemble, compose(words).blend) == (1, False)


def test_composing_leaves_hydra_alone() -> None:
    compose()
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["drop_mul=0.3"], r"'drop_mul'\..*'drop_mult'"),
        (["arch.hiden_size=3"], r"'arch\.hiden_size'\..*'arch\.hidden_size'"),
        (["arch=awd_lsmt"], "awd_lsmt"),
        (["data=nothing"], "nothing"),
    ],
)
def test_unknown_keys_and_files_are_named(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(overrides)


@pytest.mark.parametrize(
    ("overrides", "messages"),
    [
        (["+foo=1"], ["no key 'foo'"]),
        (["stage=pretrain", "+holdout.fracton=0.2"], ["'holdout.fracton'", "'fraction'"]),
        (["+arch.hiden_size=3"], ["arch.hiden_size", "'hidden_size'"]),
        (["+optimizer.weight_decey=1"], ["optimizer.weight_decey", "'weight_decay'"]),
        (["+trainer.gpus=1"], ["trainer.gpus"]),
        (["arch._target_=gulmfit.models.nothing.Net"], ["arch._target_", "cannot be imported"]),
        (["data=fasta"], ["data.path has no value"]),
        (["stage=pretrain", "drop_mult=[1"], ["drop_mult='[1'"]),
        (["seed=many"], ["seed='many'", "int is needed"]),
        (["stage=classify", "init_from=a", "resume=outputs/x"], ["init_from", "resume"]),
        (["resume=outputs/x"], ["resume=auto"]),
        (["lr_find=true"], ["lr_find"]),
        (["strands=reverse"], ["strands='reverse'"]),
        (["stage=pretrain", "batch_size=0"], ["batch_size=0"]),
        (["stage=classify", "head=language_model"], ["head=LanguageModel does not go with stage=classify"]),
        (["stage=classify", "seeds=null", "cv.repeats=null", "cv.folds=abc"], ["seeds=", "cv.repeats=", "'abc'"]),
        (["stage=classify", "cv.folds=1", "seeds=0"], ["cv.folds=1", "seeds=0"]),
        (["stage=classify", "classify.phases=[{epoch: 1, lr: 1e-2}]"], ["classify.phases", "'epoch'", "'epochs'"]),
        (["stage=classify", "classify.phases=[{epochs: 0, lr: x}]"], ["epochs=0", "lr='x'"]),
        (["stage=classify", "classify.phases=[7]"], ["classify.phases", "7"]),
        (["holdout.fraction=2", "split.valid_fraction=1.5"], ["holdout.fraction=2", "split.valid_fraction=1.5"]),
        (["stage=learning_curve", "learning_curve.sizes=[a]"], ["learning_curve.sizes", "'a'"]),
        (["stage=pretrain", "trainer.max_epochs=-1", "trainer.max_time=00:00:01:00"], ["trainer.max_epochs=-1"]),
        (["stage=pretrain", "pretrain.lr=0"], ["pretrain.lr=0"]),
        (
            ["stage=classify", "head=multi_label", "data=fasta_classes", "data.classes={a: a.fa, b: b.fa}"],
            ["MultiLabel", "data=table"],
        ),
        (["stage=classify", "arch=own"], ["has 1 mistake:", "arch._target_ has no value"]),
        (["stage=classify", "head=labeller"], ["head=Labeller learns positions", "stage=label"]),
        (["stage=label", "head=classifier"], ["head=SequenceClassifier learns classes", "stage=classify"]),
        (["stage=label", "head=language_model"], ["head=LanguageModel does not go with stage=label"]),
        (["stage=label", "data=fasta_classes", "data.classes={a: a.fa, b: b.fa}"], ["Labeller", "data=table"]),
        (["stage=label", "label.phases=[{epochs: 0, lr: x}]"], ["label.phases", "epochs=0", "lr='x'"]),
        (["stage=pretrain", "head=classifier"], ["head=SequenceClassifier does not go with stage=pretrain"]),
        (["stage=pretrain", "ensemble=3"], ["ensemble=3", "stage=classify"]),
        (["stage=learning_curve", "blend=true"], ["blend=true", "stage=classify"]),
        (["stage=classify", "ensemble=0"], ["ensemble=0", "[1, 100]"]),
        (["stage=classify", "ensemble=many", "blend=2"], ["ensemble='many'", "blend=2"]),
        (["stage=classify", "ensemble=2", "resume=outputs/x"], ["ensemble=", "resume=auto"]),
        (["stage=classify", "ensemble=2", "blend=true", "lr_find=true"], ["lr_find", "ensemble=2 blend=true"]),
        (["stage=classify", "head=regressor", "data=table", "data.path=a.csv", "blend=true"], ["blend=true", "values"]),
        (["stage=classify", "+ensembel=2"], ["'ensembel'", "'ensemble'"]),
        (["stage=panel"], ["panel.path has no value"]),
        (["stage=panel", "panel=x", "panel.negatives=[shufle]", "panel.score=f1"], ["shufle", "panel.score='f1'"]),
        (["stage=panel", "panel=x", "resume=outputs/x"], ["resume=PATH"]),
        (["stage=classify", "panel=default", "panel.path=x"], ["stage=panel"]),
        (["stage=pretrain", "optimizer=ntasgd", "+optimizer.nonmon=1"], ["optimizer.nonmon", "'nonmono'"]),
    ],
)
def test_mistakes_are_found_before_anything_is_read(overrides: list[str], messages: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(compose(overrides))
    for message in messages:
        assert message in str(caught.value)


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(compose(["+foo=1", "strands=x", "+arch.bar=2"]))
    assert "3 mistakes" in str(caught.value)
    assert str(caught.value).count("\n  - ") == 3


def test_a_sweep_of_jobs_with_several_processes_is_refused() -> None:
    config = compose(["stage=classify", "trainer=ddp_sim"])
    validate(config)
    with pytest.raises(ConfigError, match=r"sweep.*trainer\.devices=1"):
        validate(config, multirun=True)


def test_real_data_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "project"
    inside.mkdir()
    monkeypatch.chdir(inside)
    monkeypatch.delenv("GULMFIT_DATA", raising=False)
    assert data_dir() == "data"
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert data_dir() == "../shared/data"
    (inside / "data").mkdir()
    assert data_dir() == "data"
    monkeypatch.setenv("GULMFIT_DATA", "/elsewhere")
    assert data_dir() == "/elsewhere"


def test_resolved_configurations_are_plain(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(OmegaConf.to_yaml(compose(["stage=pretrain"]), resolve=True))
    assert OmegaConf.load(path).batch_size == 64


def test_jobs_of_a_cluster_are_described() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra sweep")
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = hydra_compose("train", ["hydra/launcher=slurm"], return_hydra_config=True)
    assert config.hydra.launcher._target_.endswith("SlurmLauncher")
    assert config.hydra.launcher.signal_delay_s == 120


def test_a_job_of_a_cluster_asks_for_what_the_profile_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script that sbatch would be given, made by the launcher's own library; only the cluster is made up."""
    submitit = pytest.importorskip("submitit", reason="needs the extra sweep")
    launcher = pytest.importorskip("hydra_plugins.hydra_submitit_launcher.config", reason="needs the extra sweep")
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    words = [
        "hydra/launcher=slurm",
        "hydra.launcher.partition=gpu",
        "+hydra.launcher.additional_parameters.mail-type=END",
    ]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = hydra_compose("train", ["hydra/launcher=slurm", *words], return_hydra_config=True)
    asked = config.hydra.launcher
    known = OmegaConf.structured(launcher.SlurmQueueConf)
    assert set(asked) == set(known)  # every option of the launcher stands in the profile
    general, own = set(OmegaConf.structured(launcher.BaseQueueConf)), ("_target_", "submitit_folder", "max_num_timeout")
    options = {
        key if key in general else f"slurm_{key}": value
        for key, value in OmegaConf.to_container(asked, resolve=False).items()
        if key not in (*own, "name")
    }
    executor = submitit.AutoExecutor(tmp_path, cluster="slurm", slurm_max_num_timeout=asked.max_num_timeout)
    executor.update_parameters(**options)
    script = executor._executor._make_submission_file_text("true", "x").splitlines()
    given = {line.removeprefix("#SBATCH --") for line in script if line.startswith("#SBATCH")}
    assert {"partition=gpu", "time=720", "signal=USR2@120", "requeue", "mem=32GB", "mail-type=END"} <= given
    assert {"gpus-per-node=1", "cpus-per-task=8", "ntasks-per-node=1", "nodes=1"} <= given
    assert not any(line.startswith(("account", "qos", "constraint", "gres")) for line in given)


def test_keys_without_a_value_are_those_that_omegaconf_names() -> None:
    config = OmegaConf.create({"a": "???", "b": {"c": "???", "d": 1, "e": None}, "f": [1, "???", {"g": "???"}]})
    assert set(missing_keys(OmegaConf.to_container(config))) == OmegaConf.missing_keys(config)
    assert len(OmegaConf.missing_keys(config)) == 4
