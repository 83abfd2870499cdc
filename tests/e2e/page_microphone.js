// The real microphone is asked for, with the page's wishes, and then replaced by one that says a
// recording when the test tells it to: `speak(base64)`.
const ask = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (ask) {
  navigator.mediaDevices.getUserMedia = async (wishes) => {
    const real = await ask(wishes);
    window.wishes = real.getAudioTracks()[0].getSettings();
    for (const track of real.getTracks()) track.stop();
    const context = new AudioContext();
    const out = context.createMediaStreamDestination();
    // A microphone is never without sound, be it silence.
    const silence = context.createConstantSource();
    silence.offset.value = 0;
    silence.connect(out);
    silence.start();
    window.speak = async (recording) => {
      const bytes = Uint8Array.from(atob(recording), (c) => c.charCodeAt(0));
      const source = context.createBufferSource();
      source.buffer = await context.decodeAudioData(bytes.buffer);
      source.connect(out);
      source.start();
      await new Promise((resolve) => (source.onended = resolve));
    };
    return out.stream;
  };
}
