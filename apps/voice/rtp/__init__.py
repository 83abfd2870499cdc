"""Media over RTP: packets, codecs, keys, SDP, and a session that carries one call's audio.

A signalling door reads the peer's SDP (`sdp.read_sdp`), agrees on it (`negotiation.negotiate`) and
writes the answer (`negotiation.write_answer`); `session.RtpSession` then carries the audio.
"""
