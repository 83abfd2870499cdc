"""The doors of an Asterisk: chan_websocket, AudioSocket, and what its dialplan asks beside them."""
