"""Composites of real adapters: their sum is the sum, and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="make test-train installs it")

from safetensors.torch import load_file  # noqa: E402

from apps.core.errors import ConfigError  # noqa: E402
from apps.rl.adapters.training.composites import plan_composite, read_parent  # noqa: E402
from apps.rl.adapters.training.events import read_event  # noqa: E402
from tests.train import tiny  # noqa: E402
from tests.train.forked import Child, command, config, in_child  # noqa: E402


@pytest.fixture(scope="module")
def adapters(base, turns, tmp_path_factory) -> dict[str, Path]:
    """Three adapters: two of rank 4 and one of rank 8."""
    folder = tmp_path_factory.mktemp("adapters")
    found = {}
    for name, rank, seed in (("one", 4, 1), ("two", 4, 2), ("wide", 8, 3)):
        told = config(base, turns, adapter={"rank": rank}, training={"epochs": 1, "seed": seed})
        assert Child(told, folder / name).ended()[-1].event == "finished"
        found[name] = folder / name / "adapter"
    return found


def deltas(folder: Path) -> dict[str, torch.Tensor]:
    """Return what an adapter adds to each layer."""
    weights = load_file(folder / "adapter_model.safetensors")
    shape = json.loads((folder / "adapter_config.json").read_text())
    scale = shape["lora_alpha"] / shape["r"]
    layers = [name.removesuffix(".lora_A.weight") for name in weights if "lora_A" in name]
    return {
        layer: scale * weights[f"{layer}.lora_B.weight"] @ weights[f"{layer}.lora_A.weight"]
        for layer in layers
    }


def test_an_additive_composite_is_the_sum_of_its_parents(adapters, tmp_path):
    said = command(
        "compose",
        adapters["one"],
        adapters["wide"],
        "--kind",
        "additive",
        "--out",
        tmp_path / "sum",
    )
    composed = said["composed"]
    assert composed.combination == "cat"
    assert composed.adapter.rank == 12
    assert composed.relative_error < 1e-6
    one, wide, total = (deltas(f) for f in (adapters["one"], adapters["wide"], tmp_path / "sum"))
    assert one.keys() == total.keys()
    for layer in one:
        assert torch.allclose(total[layer], one[layer] + wide[layer], atol=1e-6)


def test_a_weighted_composite_cut_to_a_rank_says_what_it_lost(adapters, tmp_path):
    said = command(
        *("compose", f"one={adapters['one']}", f"wide={adapters['wide']}", "--kind", "weighted"),
        *("--weights", "0.8,0.2", "--max-rank", 6, "--out", tmp_path / "cut"),
    )
    composed = said["composed"]
    assert (composed.combination, composed.adapter.rank) == ("svd", 6)
    one, wide, cut = (deltas(f) for f in (adapters["one"], adapters["wide"], tmp_path / "cut"))
    lost = sum(float(((0.8 * one[n] + 0.2 * wide[n] - cut[n]) ** 2).sum()) for n in one)
    whole = sum(float(((0.8 * one[n] + 0.2 * wide[n]) ** 2).sum()) for n in one)
    assert composed.relative_error == pytest.approx((lost / whole) ** 0.5, rel=1e-3)
    assert 0 < composed.relative_error < 0.5


def test_the_report_has_each_parents_held_out_loss_with_and_without(adapters, tmp_path):
    said = command(
        *("compose", f"one={adapters['one']}", f"two={adapters['two']}", "--kind", "weighted"),
        *("--out", tmp_path / "half"),
    )
    composed = said["composed"]
    assert [row.held_out for row in composed.losses] == ["one", "two"]
    for row in composed.losses:
        assert row.composite < row.base
        assert set(row.parents) == {"one", "two"}
    assert composed.adapter.parents == ("one", "two")
    assert composed.adapter.metrics["loss_dev"] < composed.adapter.metrics["loss_dev_before"]
    assert read_event((tmp_path / "half" / "composite.json").read_bytes()) == composed


def test_an_adapter_that_learned_over_another_is_joined_with_it(base, turns, adapters, tmp_path):
    told = config(
        base,
        turns,
        adapter={"parent": str(adapters["one"]), "parent_mode": "stack"},
        training={"epochs": 1, "seed": 5},
    )
    assert Child(told, tmp_path / "over").ended()[-1].event == "finished"
    over = tmp_path / "over" / "adapter"
    alone = command("evaluate", "--base", base, "--adapter", over, "--data", turns)
    assert alone["failed"].code == "other_base"
    said = command(
        *("compose", adapters["one"], over, "--kind", "sequential", "--out", tmp_path / "joined")
    )
    assert said["composed"].adapter.method == "sequential"
    loss = command("evaluate", "--base", base, "--adapter", tmp_path / "joined", "--data", turns)
    before = command("evaluate", "--base", base, "--adapter", adapters["one"], "--data", turns)
    assert loss["evaluated"].loss < before["evaluated"].loss
    with pytest.raises(ConfigError, match="did not learn over"):
        plan_composite("sequential", [read_parent(adapters["two"]), read_parent(over)])


def test_adapters_of_different_bases_or_shapes_are_refused(base, turns, adapters, tmp_path):
    other = tmp_path / "other"
    assert in_child(lambda: tiny.make_base(other, seed=9)) == 0
    told = config(other, turns, training={"epochs": 1})
    assert Child(told, tmp_path / "run").ended()[-1].event == "finished"
    parents = [read_parent(adapters["one"]), read_parent(tmp_path / "run" / "adapter")]
    with pytest.raises(ConfigError, match="base_model_hash"):
        plan_composite("additive", parents)
    dora = config(base, turns, adapter={"method": "dora"}, training={"epochs": 1})
    assert Child(dora, tmp_path / "dora").ended()[-1].event == "finished"
    parents = [read_parent(adapters["one"]), read_parent(tmp_path / "dora" / "adapter")]
    with pytest.raises(ConfigError, match="DoRA"):
        plan_composite("additive", parents)


def test_an_adapter_is_exported_for_ollama_with_its_modelfile(adapters, tmp_path):
    out = tmp_path / "export"
    said = command("export", adapters["one"], "--out", out, "--ollama-base", "llama3.2:1b")
    assert said["exported"].command == "ollama create tom"
    assert (out / "Modelfile").read_text() == "FROM llama3.2:1b\nADAPTER .\n"
    assert deltas(out).keys() == deltas(adapters["one"]).keys()


def test_a_merged_export_answers_as_the_adapter_does(base, turns, adapters, tmp_path):
    out = tmp_path / "merged"
    said = command("export", adapters["one"], "--out", out, "--merged")
    assert said["exported"].folder == str(out)
    assert (out / "Modelfile").read_text() == "FROM .\n"
    merged = command("evaluate", "--base", out, "--data", turns)["evaluated"]
    adapted = command("evaluate", "--base", base, "--adapter", adapters["one"], "--data", turns)
    assert merged.loss == pytest.approx(adapted["evaluated"].loss, abs=1e-4)
