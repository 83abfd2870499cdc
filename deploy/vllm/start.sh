#!/bin/sh
# Starts vLLM as TOM needs it: one base model, and LoRA adapters that come and go while it serves.
#
# Everything is said by the environment (vllm.env.example lists it); docs/vllm.md says why.
# `make test-vllm` starts its server by this very file, on the processor.
set -eu

: "${SERVE_MODEL:?the base model: a folder, which TOM trains its adapters for too}"

# Whoever reaches this port can have any folder of this machine read as an adapter, and the key below
# guards /v1 alone: never listen where callers' networks reach.
host=${SERVE_HOST:-127.0.0.1}
port=${SERVE_PORT:-8000}

# Adapters are loaded and unloaded by TOM's roll-out, never from outside.
export VLLM_ALLOW_RUNTIME_LORA_UPDATING=True
# Nothing about the machine or its use is sent anywhere, and no weights are fetched at a start.
export VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}" TRANSFORMERS_OFFLINE="${TRANSFORMERS_OFFLINE:-1}"

# max-loras: adapters in one batch. A call whose adapter finds no slot waits for one to be free, so
#   count every adapter that calls may have at once: of each domain the active one, the canary, the
#   shadow and the one that is kept for the way back.
# max-cpu-loras: adapters kept in memory, of which those in use are copied to the GPU; at least
#   max-loras, and as many as TOM keeps loaded.
# max-lora-rank: the largest rank that may be loaded; memory is taken for it at the start, whatever
#   is loaded. One of 1, 8, 16, 32, 64, 128, 256, 320, 512.
# enable-prefix-caching: a prompt begins with the policy's instructions, which all calls share. Each
#   adapter has its blocks by its name, which is why a name never gets other weights.
# max-num-seqs / max-num-queued-reqs: beyond so many answers at once a request waits, and beyond so
#   many in all it is refused at once, so that TOM's next provider answers in time.
# Prompts are not logged, nor who asks; the endpoints' own pages are off.
# shutdown-timeout: answers under way are finished when the server is asked to stop.
# shellcheck disable=SC2086  # SERVE_EXTRA is several words on purpose
exec "${SERVE_PYTHON:-python3}" -m vllm.entrypoints.openai.api_server \
  --model "$SERVE_MODEL" \
  --served-model-name "${SERVE_NAME:-base}" \
  --host "$host" --port "$port" \
  --enable-lora \
  --max-loras "${SERVE_MAX_LORAS:-4}" \
  --max-cpu-loras "${SERVE_MAX_CPU_LORAS:-16}" \
  --max-lora-rank "${SERVE_MAX_LORA_RANK:-16}" \
  --enable-prefix-caching \
  --max-model-len "${SERVE_MAX_MODEL_LEN:-8192}" \
  --max-num-seqs "${SERVE_MAX_NUM_SEQS:-64}" \
  --max-num-queued-reqs "${SERVE_MAX_QUEUED:-96}" \
  --generation-config vllm \
  --no-enable-log-requests \
  --disable-uvicorn-access-log \
  --disable-fastapi-docs \
  --shutdown-timeout 30 \
  ${SERVE_EXTRA:-}
