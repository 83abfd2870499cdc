"""A Realtime client's bookkeeping: every event it is sent must fit what it was sent before."""

import json


def event(kind, **fields):
    """A client event as it goes over the wire."""
    return json.dumps({"type": kind, **fields})


class Ledger:
    """What a strict client believes: it takes server events in order, and refuses what is off."""

    def __init__(self):
        self.events, self.responses, self.items = set(), {}, {}
        self.open_parts, self.open_transcripts = {}, set()

    def take(self, sent):
        assert sent["event_id"] not in self.events, "an event's id was used twice"
        self.events.add(sent["event_id"])
        match sent:
            case {"type": "response.created", "response": response}:
                assert response["id"] not in self.responses
                assert "in_progress" not in self.responses.values(), "two responses at once"
                self.responses[response["id"]] = "in_progress"
            case {"type": "response.done", "response": response}:
                assert self.responses[response["id"]] == "in_progress"
                assert response["status"] in ("completed", "cancelled")
                assert not self.open_parts, "a response ended with an open part"
                self.responses[response["id"]] = response["status"]
            case {"type": "conversation.item.added", "item": item, "previous_item_id": previous}:
                assert item["id"] not in self.items
                assert previous is None or previous in self.items
                self.items[item["id"]] = item["status"]
            case {"type": "conversation.item.done", "item": item}:
                assert self.items[item["id"]] != "done"
                assert item["status"] in ("completed", "incomplete")
                self.items[item["id"]] = "done"
            case {"type": "conversation.item.deleted", "item_id": item_id}:
                del self.items[item_id]
                self.open_transcripts.discard(item_id)
            case {"type": "response.content_part.added", "item_id": item_id}:
                self.open_parts[item_id] = ""
            case {"type": "response.content_part.done", "item_id": item_id, "part": part}:
                assert part.get("transcript", part.get("text")) == self.open_parts.pop(item_id)
            case {"type": "response.output_audio.delta", "item_id": item_id}:
                assert item_id in self.open_parts, "audio of a part that is not open"
            case {"type": "response.output_audio_transcript.delta" | "response.output_text.delta"}:
                self.open_parts[sent["item_id"]] += sent["delta"]
            case {"type": "input_audio_buffer.committed", "item_id": item_id}:
                assert item_id in self.items
                self.open_transcripts.add(item_id)
            case {"type": "conversation.item.input_audio_transcription.delta"}:
                assert sent["item_id"] in self.items
            case {"type": "conversation.item.input_audio_transcription.completed"}:
                self.open_transcripts.remove(sent["item_id"])

    def balance(self):
        """Check the end of a session: nothing that was begun is left open."""
        assert "in_progress" not in self.responses.values()
        assert not self.open_parts
        assert not self.open_transcripts
