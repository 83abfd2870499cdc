"""WebRTC: the connection (`peer.py`), and the door over it with a data channel of live events."""
