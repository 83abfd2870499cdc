"""Makes an adapter that has learned nothing: random updates of some strength. Run where torch is.

    python tests/vllm/noise_adapter.py BASE FOLDER [--rank 8] [--strength 0.05] [--seed 1]

It is there to be told from the base by its answers, and to be worse.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM


def main() -> None:
    """Make the adapter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--strength", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    base = LlamaForCausalLM.from_pretrained(args.base)
    shape = LoraConfig(r=args.rank, lora_alpha=args.rank, target_modules=["q_proj", "v_proj"])
    model = get_peft_model(base, shape)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=args.strength)
    model.save_pretrained(args.folder)


if __name__ == "__main__":
    main()
