"""Training configurations: the profiles, their defaults, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.core.errors import ConfigError
from apps.core.resources import training_profiles
from apps.rl.adapters.training.config import TrainingConfig
from apps.rl.adapters.training.profiles import parse_override, read_config

COMMIT = "a" * 40
GIVEN = {"base.model": "/models/llama", "data.train": "turns.jsonl"}


@pytest.mark.parametrize("path", sorted(training_profiles().glob("*.yaml")), ids=lambda p: p.stem)
def test_every_profile_needs_only_a_base_and_data(path):
    assert isinstance(read_config(path.stem, GIVEN), TrainingConfig)


@pytest.mark.parametrize("name", ["continuous", "kto"])
def test_mini_trainings_make_one_pass_at_a_very_low_rate_without_warm_up(name):
    steps = read_config(name, GIVEN).training
    assert steps.epochs == 1
    assert 1e-6 <= steps.learning_rate <= 5e-6
    assert steps.warmup_ratio == 0


def test_what_is_not_said_is_asked_for():
    with pytest.raises(ConfigError, match="base") as error:
        read_config("lora", {"data.train": "turns.jsonl"})
    assert "--base" in error.value.hint
    with pytest.raises(ConfigError, match="data: neither") as error:
        read_config("lora", {"base.model": "/models/llama"})


def test_a_key_that_is_not_known_is_named_with_its_line(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("base: {model: /m}\ndata: {train: t}\ntraining:\n  learningrate: 1\n")
    with pytest.raises(ConfigError, match=r"own.yaml:4: training.learningrate"):
        read_config(str(path))


def test_a_profile_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(ConfigError) as error:
        read_config("lorra")
    assert "kto, lora, qlora" in error.value.hint


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"base.model": "org/model"}, "commit of 40"),
        ({"base.model": "org/model", "base.revision": "main"}, "commit of 40"),
        ({"training.batch": 10, "training.micro_batch": 4}, "multiple"),
        (
            {"training.objective": "kto", "training.batch": 4, "training.micro_batch": 1},
            "at least 2",
        ),
        ({"adapter.target_modules": ["q_proj", "lm_head"]}, "lm_head cannot be adapted"),
        ({"adapter.target_modules": []}, "names no layer"),
        ({"adapter.method": "qlora", "training.precision": "float32"}, "16 bits"),
        ({"adapter.method": "qlora", "adapter.parent_mode": "stack"}, "cannot be merged"),
        ({"training.learning_rate": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(overrides, said):
    with pytest.raises(ConfigError, match=said):
        read_config("lora", GIVEN | overrides)


def test_a_hub_model_is_pinned_to_a_commit():
    config = read_config("lora", GIVEN | {"base.model": "org/model", "base.revision": COMMIT})
    assert config.base.folder is None
    assert read_config("lora", GIVEN).base.folder is not None


def test_the_digest_tells_trainings_apart_and_ignores_what_changes_no_outcome():
    digest = read_config("lora", GIVEN).digest()
    assert read_config("lora", GIVEN | {"training.checkpoint_steps": 7}).digest() == digest
    assert read_config("lora", GIVEN | {"base.attempts": 1}).digest() == digest
    assert read_config("lora", GIVEN | {"training.seed": 7}).digest() != digest
    assert read_config("lora", GIVEN | {"data.train": "other.jsonl"}).digest() != digest


def test_overrides_are_read_as_yaml():
    assert parse_override("training.epochs=2") == ("training.epochs", 2)
    assert parse_override("adapter.target_modules=[q_proj, v_proj]")[1] == ["q_proj", "v_proj"]
    assert read_config("lora", GIVEN | dict([parse_override("training.learning_rate=1e-5")]))
    with pytest.raises(ConfigError, match="sets nothing"):
        parse_override("training.epochs")
    with pytest.raises(ConfigError, match="cannot be set"):
        read_config("lora", GIVEN | {"adapter.rank.deep": 1})


def keys(model, before: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        part = getattr(field.annotation, "model_fields", None)
        found += keys(field.annotation, f"{before}{name}.") if part else [before + name]
    return found


@pytest.mark.parametrize("key", keys(TrainingConfig))
def test_every_key_is_documented(key):
    page = Path(__file__).parents[2] / "docs" / "adapters-training.md"
    assert f"| `{key}` |" in page.read_text("utf-8")
