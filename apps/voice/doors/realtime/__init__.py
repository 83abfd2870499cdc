"""The OpenAI Realtime protocol (GA): clients of that API talk to TOM. docs/doors/realtime.md."""
