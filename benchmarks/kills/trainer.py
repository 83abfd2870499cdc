"""Stands in for the training process: says what that says, and writes an adapter of random bytes.

It is run without site-packages, so that it starts in an instant.
"""

import json
import os
import sys
import time
from pathlib import Path

WORK_S = 0.3


def main() -> None:
    """Write an adapter into the run's folder, as ``apps.rl.adapters.training run`` does."""
    hashes, words = json.loads(sys.argv[1]), sys.argv[2:]
    out = Path(words[words.index("--out") + 1])
    said = dict(w.split("=", 1) for w in words if "=" in w)
    folder = out / "adapter"
    folder.mkdir(parents=True, exist_ok=True)
    time.sleep(WORK_S)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4}')
    (folder / "adapter_model.safetensors").write_bytes(os.urandom(64))
    adapter = {
        "domain": [said["domain"].strip("[]")],
        "method": "kto",
        "rank": 4,
        "precision": "fp32",
        "dataset_ref": "pool",
        **hashes,
    }
    print(json.dumps({"event": "finished", "folder": str(folder), "adapter": adapter}), flush=True)


if __name__ == "__main__":
    main()
