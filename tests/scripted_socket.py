"""A peer behind a WebSocket for unit tests: it plays a script, and keeps what it is sent."""

import asyncio
import json


class ScriptedSocket:
    """Plays a script of messages; a number is a pause in seconds; then the peer goes.

    Texts that it is sent are kept as the messages that they hold, audio as it is.
    """

    def __init__(self, *script):
        self.script = list(script)
        self.sent = []
        self.closed = None

    async def receive(self):
        while self.script and self.closed is None:
            item = self.script[0]
            if isinstance(item, int | float):
                await asyncio.sleep(item)
            self.script.pop(0)
            if not isinstance(item, int | float):
                return json.dumps(item) if isinstance(item, dict) else item
        return None

    async def send_text(self, text):
        self.sent.append(self.read(text))

    async def send_bytes(self, data):
        self.sent.append(data)

    async def close(self, code, reason):
        self.closed = self.closed or code

    def read(self, text):
        return json.loads(text)

    @property
    def messages(self):
        return [sent for sent in self.sent if not isinstance(sent, bytes)]
