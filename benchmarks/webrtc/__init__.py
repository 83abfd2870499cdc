"""What the WebRTC door adds to a call, and what it costs."""
