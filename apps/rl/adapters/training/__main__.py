"""``python -m apps.rl.adapters.training``: what a server or ``tom adapters`` starts."""

from __future__ import annotations

import os
import sys

from apps.rl.adapters.training.arguments import parse

if __name__ == "__main__":
    arguments = parse(sys.argv[1:])
    # Before anything of them is imported. Nothing is sent anywhere, and a cache holds no examples.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    # One GPU: TRL's KTO takes no more in one process, and an adapter needs no more.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    from apps.rl.adapters.training.worker.main import main

    sys.exit(main(arguments))
