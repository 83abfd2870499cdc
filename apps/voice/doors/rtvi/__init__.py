"""RTVI over WebRTC: Pipecat's client SDKs talk to TOM. docs/doors/rtvi.md."""
