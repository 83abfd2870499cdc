"""Which adapters may be put together, and how, decided before any weights are read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from apps.core.errors import AdapterError, ConfigError
from apps.rl.adapters.gate import Base, check_base
from apps.rl.adapters.record import AdapterRecord, TrainedAdapter
from apps.rl.adapters.training.composites import (
    Parent,
    conflicts,
    plan_composite,
    read_parent,
    stacked_hash,
)

RECORD = TrainedAdapter(
    domain=("general",),
    method="lora",
    rank=8,
    precision="float32",
    base_model="/models/llama",
    base_model_hash="b" * 64,
    tokenizer_hash="d" * 64,
)


def parent(name: str, rank: int = 8, **changes) -> Parent:
    return Parent(
        folder=Path(name),
        name=name,
        record=RECORD.model_copy(update=changes),
        sha256=name * 8,
        rank=rank,
        modules=frozenset({"q_proj", "v_proj"}),
        dora=False,
    )


ONE, TWO, WIDE = parent("one"), parent("two"), parent("wide", rank=60)


def test_a_sum_is_exact_where_the_rank_allows_and_cut_where_it_does_not():
    plan = plan_composite("additive", [ONE, TWO])
    assert (plan.combination, plan.rank, plan.exact, plan.weights) == ("cat", 16, True, (1, 1))
    plan = plan_composite("additive", [ONE, WIDE])
    assert (plan.combination, plan.rank, plan.exact) == ("svd", 16, False)


def test_weights_are_equal_unless_they_are_said():
    assert plan_composite("weighted", [ONE, TWO]).weights == (0.5, 0.5)
    assert plan_composite("weighted", [ONE, TWO], weights=[0.9, 0.4]).weights == (0.9, 0.4)


@pytest.mark.parametrize(
    ("kind", "parents", "options", "said"),
    [
        ("additive", [ONE], {}, "at least two"),
        ("additive", [ONE, ONE], {}, "given twice"),
        ("additive", [ONE, parent("x", base_model_hash="e" * 64)], {}, "base_model_hash"),
        ("additive", [ONE, parent("x", tokenizer_hash="e" * 64)], {}, "tokenizer_hash"),
        ("additive", [ONE, replace(TWO, dora=True)], {}, "DoRA"),
        ("additive", [ONE, TWO], {"weights": [1, 2]}, "has no weights"),
        ("weighted", [ONE, TWO], {"weights": [1]}, "as many weights"),
        ("weighted", [ONE, TWO], {"weights": [1, -1]}, "above 0"),
        ("weighted", [ONE, TWO], {"weights": [1, float("nan")]}, "above 0"),
        ("weighted", [ONE, WIDE], {"combination": "linear"}, "different ranks"),
        ("additive", [ONE, WIDE], {"combination": "cat"}, "rank 68; the server takes 16"),
        ("sequential", [ONE, TWO], {}, "did not learn over"),
        ("sequential", [ONE, TWO, WIDE], {}, "has two adapters"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(kind, parents, options, said):
    with pytest.raises(ConfigError, match=said):
        plan_composite(kind, parents, **options)


def test_an_adapter_is_joined_with_the_one_it_learned_over_and_no_other():
    over = parent("over", base_model_hash=stacked_hash("b" * 64, ONE.sha256))
    assert plan_composite("sequential", [ONE, over]).rank == 16
    with pytest.raises(ConfigError, match="did not learn over two"):
        plan_composite("sequential", [TWO, over])


def test_layers_that_only_one_of_them_changes_are_told():
    plan = plan_composite("additive", [ONE, replace(TWO, modules=frozenset({"q_proj"}))])
    assert plan.notes == ("Not every adapter changes v_proj, as one does.",)
    assert "rough" in plan_composite("additive", [ONE, TWO], combination="linear").notes[0]


@pytest.mark.parametrize(
    "changes", [{"method": "dora"}, {"method": "kto", "config": {"method": "dora"}}]
)
def test_a_dora_adapter_is_refused_before_a_server_refuses_it(changes):
    told = RECORD.model_dump() | changes
    record = AdapterRecord(
        **told, id="kfz/dora-r8-v1", served="kfz", sha256="a" * 64, files={}, signature=""
    )
    with pytest.raises(AdapterError, match="DoRA") as error:
        check_base(record, Base("b" * 64, "d" * 64))
    assert "--merged" in error.value.hint


def test_layers_whose_updates_oppose_each_other_are_in_conflict_the_worst_first():
    assert conflicts({"a": -0.9, "b": 0.2, "c": -0.31, "d": -0.95}) == ["d", "a", "c"]


def test_an_adapter_is_read_with_its_shape_and_its_record(tmp_path):
    with pytest.raises(ConfigError, match="holds no adapter"):
        read_parent(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    shape = {"r": 4, "target_modules": ["q_proj"], "use_dora": True}
    (tmp_path / "adapter_config.json").write_text(json.dumps(shape))
    with pytest.raises(ConfigError, match="with its record"):
        read_parent(tmp_path)
    (tmp_path / "adapter.json").write_text(RECORD.model_dump_json())
    found = read_parent(tmp_path)
    assert (found.rank, found.dora, found.modules) == (4, True, {"q_proj"})
    assert found.record == RECORD
    assert found.name == found.sha256[:12]
