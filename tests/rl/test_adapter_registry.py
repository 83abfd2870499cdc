"""The registry: ids, signatures, one truth with its file, and the gate before serving."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
from adapter_files import BASE, SECRET, add, registry, trained, write_adapter
from sqlalchemy import update

from apps.core.errors import AdapterError, ConfigError, IllegalEvent
from apps.core.resources import resource
from apps.rl.adapters.entry import adopt, reserve
from apps.rl.adapters.fold import Registered
from apps.rl.adapters.gate import Base
from apps.rl.adapters.hashing import base_model_hash, tokenizer_hash
from apps.rl.adapters.record import AdapterState
from apps.rl.adapters.registry_file import read_file, registry_schema
from apps.rl.adapters.rollout.machine import Happening, What
from apps.rl.adapters.signing import Signer
from apps.store.adapter_tables import adapter_events, adapters
from apps.store.database import Database, open_database


@pytest.fixture
def db(tmp_path: Path, migrated_store: Path) -> Database:
    return Database(shutil.copy(migrated_store, tmp_path / "tom.db"), pooled=False)


def test_the_schema_in_the_docs_is_that_of_the_code() -> None:
    text = resource("schemas", "adapter_registry.schema.json").read_text()
    assert text == registry_schema(), "write it anew with registry_file.registry_schema()"


def test_ids_count_up_and_the_served_name_ends_in_the_weights_hash(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    first, second = add(known, "a"), add(known, "b")
    assert (first.id, second.id) == ("residents/lora-r16-v1", "residents/lora-r16-v2")
    assert first.served == f"residents-lora-r16-v1-{first.sha256[:12]}"
    assert first.sha256 != second.sha256
    assert known.record(first.served) == first
    assert (known.root / first.id / "adapter_model.safetensors").is_file()


def test_processes_that_reserve_at_once_get_different_ids(db, tmp_path) -> None:
    got: list[str] = []
    known = [registry(db, tmp_path) for _ in range(8)]
    threads = [
        threading.Thread(target=lambda k=k: got.append(reserve(k.root, "residents", "dora", 8)[0]))
        for k in known
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [f"residents/dora-r8-v{n}" for n in range(1, 9)]


@pytest.mark.parametrize("domain", ["../etc", "/etc", "Residents", "a/b", "", "a" * 25])
def test_a_domain_that_leads_elsewhere_is_no_id(db, tmp_path, domain: str) -> None:
    with pytest.raises((ConfigError, AdapterError)):
        reserve(registry(db, tmp_path).root, domain, "lora", 16)
    assert not (tmp_path / "etc").exists()


def test_a_version_is_entered_once_and_never_gets_other_weights(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    assert known.register(record.id, trained()) == record
    write_adapter(known.root / record.id, b"others")
    with pytest.raises(AdapterError, match="other weights"):
        known.register(record.id, trained())


def test_what_a_training_has_made_is_copied_in_once(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    made = tmp_path / "run" / "adapter"
    write_adapter(made)
    (made / "adapter.json").write_text(trained().model_dump_json())
    (made / "checkpoint.bin").write_text("none of it")
    record = adopt(known, made, trained())
    assert record.id == "residents/lora-r16-v1"
    kept = sorted(path.name for path in (known.root / record.id).iterdir())
    assert kept == ["adapter.json", "adapter_config.json", "adapter_model.safetensors"]
    assert adopt(known, made, trained()) == record
    write_adapter(made, b"trained on")
    assert adopt(known, made, trained()).id == "residents/lora-r16-v2"


def test_an_id_that_does_not_say_what_was_trained_is_refused(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    name, folder = reserve(known.root, "residents", "lora", 16)
    write_adapter(folder)
    for other in ({"rank": 8}, {"method": "dora"}, {"domain": ("parking",)}):
        with pytest.raises(AdapterError, match="is not the id of"):
            known.register(name, trained(**other))


def test_the_gate_lets_through_what_was_registered(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    assert known.admit(record) == known.root / record.id


@pytest.mark.parametrize(
    ("base", "code"),
    [
        (Base("e" * 64, BASE.tokenizer_hash), "adapter_base"),
        (Base(BASE.model_hash, "e" * 64), "adapter_base"),
        (None, "adapter_base_unknown"),
    ],
)
def test_the_gate_refuses_an_adapter_for_another_base(db, tmp_path, base, code) -> None:
    known = registry(db, tmp_path, base)
    with pytest.raises(AdapterError) as refused:
        known.admit(add(known))
    assert refused.value.code == code


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_the_gate_refuses_changed_files(db, tmp_path, name: str) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    file = known.root / record.id / name
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(AdapterError, match=name.replace(".", r"\.")) as refused:
        known.admit(record)
    assert refused.value.code == "adapter_changed"


def test_the_gate_refuses_a_file_that_was_added_and_one_that_is_gone(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    added = known.root / record.id / "added_tokens.json"
    added.write_text("{}")
    with pytest.raises(AdapterError, match="added_tokens"):
        known.admit(record)
    added.unlink()
    (known.root / record.id / "adapter_model.safetensors").unlink()
    with pytest.raises(ConfigError, match="missing"):
        known.admit(record)


def test_the_gate_follows_no_link_out_of_the_folder(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    folder, away = known.root / record.id, tmp_path / "away"
    folder.rename(away)
    folder.symlink_to(away)
    with pytest.raises(AdapterError) as refused:
        known.admit(record)
    assert refused.value.code == "adapter_outside"


def test_the_gate_follows_no_link_in_the_place_of_a_file(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    file = known.root / record.id / "adapter_model.safetensors"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="link"):
        known.admit(record)


def test_what_happens_moves_the_state_and_metrics_are_added(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    passed = Happening(What.PASSED, "All 40 golden prompts passed.", "operator")
    assert known.happened(record.id, passed, {"metrics": {"golden_passed": 1.0}})
    after = known.record(record.id)
    assert after.state is AdapterState.EVALUATED
    assert after.why == "All 40 golden prompts passed."
    assert after.metrics == {"loss_dev": 2.5, "golden_passed": 1.0}
    assert after.signature == record.signature


def test_what_cannot_happen_raises_and_is_not_stored(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    with pytest.raises(IllegalEvent, match="trained cannot be established"):
        known.happened(record.id, Happening(What.ESTABLISHED))
    assert known.record(record.id) == record


def test_of_two_who_take_the_same_step_one_does(db, tmp_path) -> None:
    known, other = registry(db, tmp_path), registry(db, tmp_path)
    record = add(known)
    step = Happening(What.PASSED, "passed")
    assert known.happened(record.id, step, number=1)
    assert not other.happened(record.id, step, number=1)
    assert other.known().rollouts[record.id].number == 1


def test_the_file_says_what_the_store_says_and_is_signed(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    known.happened(record.id, Happening(What.PASSED, "passed"))
    file = read_file(known.file, Signer(SECRET))
    assert file.adapters == (known.record(record.id),)
    assert json.loads(known.file.read_text())["adapters"][0]["state"] == "evaluated"
    assert known.verify() == []
    assert not known.export()  # it is not written when nothing is new


def test_a_file_that_was_changed_is_told_and_put_aside_and_written_anew(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    changed = known.file.read_text().replace('"trained"', '"active"')
    known.file.write_text(changed)
    with pytest.raises(AdapterError, match="not what this installation wrote"):
        read_file(known.file, Signer(SECRET))
    assert any("not what this installation wrote" in found for found in known.verify())
    assert known.export()
    assert (known.file.parent / "adapter_registry.kept.json").read_text() == changed
    assert known.verify() == []
    assert known.record(record.id).state is AdapterState.TRAINED


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", '{"version": 1}', "\udcff", '{"version":"x"}']
)
def test_a_damaged_file_gives_a_clear_error_and_nothing_is_lost(db, tmp_path, text) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    known.file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(AdapterError) as told:
        read_file(known.file, Signer(SECRET))
    assert told.value.code == "adapter_file"
    assert told.value.hint
    assert known.export()
    assert known.record(record.id) == record
    assert (known.file.parent / "adapter_registry.kept.json").exists()


def test_a_file_of_a_newer_version_is_left_as_it_is(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    add(known)
    newer = json.dumps({"version": 2, "more": True})
    known.file.write_text(newer)
    with pytest.raises(AdapterError) as told:
        known.export()
    assert told.value.code == "adapter_file_newer"
    second = add(known, "b")  # the store has it, whatever the file is
    assert known.record(second.id) == second
    assert known.file.read_text() == newer


def test_the_file_can_be_made_anew_from_the_store_alone(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    add(known)
    before = known.file.read_text()
    known.file.unlink()
    assert known.export()
    assert known.file.read_text() == before


def test_a_file_that_knows_more_than_a_restored_store_is_put_aside(db, tmp_path) -> None:
    add(registry(db, tmp_path))
    restored = registry(open_database(tmp_path / "older.db", pooled=False), tmp_path)
    assert restored.export()
    assert "lora-r16-v1" in (restored.file.parent / "adapter_registry.kept.json").read_text()


def test_an_entry_changed_in_the_store_is_not_used_and_no_other_suffers(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    first, second = add(known, "a"), add(known, "b")
    with db.transaction() as conn:
        row = next(iter(conn.execute(adapters.select().where(adapters.c.adapter_id == first.id))))
        conn.execute(
            update(adapters)
            .where(adapters.c.adapter_id == first.id)
            .values(record={**row.record, "base_model_hash": "e" * 64})
        )
    with pytest.raises(AdapterError) as told:
        known.record(first.id)
    assert told.value.code == "adapter_damaged"
    assert known.record(second.id) == second
    assert any(first.id in found for found in known.verify())


def test_an_event_nobody_signed_takes_no_adapter_anywhere(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    known.happened(record.id, Happening(What.PASSED, "passed"))
    with db.transaction() as conn:
        conn.execute(update(adapter_events).values(action="failed"))
    assert "was changed" in known.known().damaged[record.id]


def test_another_installations_key_opens_nothing(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    record = add(known)
    other = registry(db, tmp_path)
    other.signer = Signer(b"another installation's key")
    assert list(other.known().damaged) == [record.id]
    with pytest.raises(AdapterError):
        read_file(known.file, other.signer)


def test_erasure_reaches_what_learned_from_a_call_and_what_was_made_of_that(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    first = add(known, "a", calls=("call1", "call2"))
    add(known, "b", calls=("call3",))
    composite = add(known, "c", method="weighted", parents=(first.id,), dataset_sha256="")
    assert [r.id for r in known.known().learned_from(["call2"])] == [first.id, composite.id]
    assert known.known().learned_from(["call9"]) == []


def test_the_active_adapter_of_a_domain_is_found_among_those_of_others(db, tmp_path) -> None:
    known = registry(db, tmp_path)
    first, second = add(known, "a"), add(known, "b", domain=("parking", "residents"))
    records = dict(known.known().records)
    assert Registered(records).active("residents") is None
    records[second.id] = second.model_copy(update={"state": AdapterState.ACTIVE})
    assert Registered(records).active("residents") == records[second.id]
    assert Registered(records).active("parking") == records[second.id]
    assert Registered(records).active("cars") is None
    assert records[first.id].state is AdapterState.TRAINED


def test_hashes_of_a_base_change_with_its_weights_and_its_template(tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"w")
    (tmp_path / "tokenizer.json").write_text("{}")
    base, tokens = base_model_hash(tmp_path), tokenizer_hash(tmp_path)
    (tmp_path / "README.md").write_text("another word")
    assert (base_model_hash(tmp_path), tokenizer_hash(tmp_path)) == (base, tokens)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert base_model_hash(tmp_path) == base
    assert tokenizer_hash(tmp_path) != tokens
    (tmp_path / "model.safetensors").write_bytes(b"v")
    assert base_model_hash(tmp_path) != base
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no base model"):
        base_model_hash(tmp_path / "empty")
