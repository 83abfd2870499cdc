// The level of the assistant's voice in the call page, every 10 ms: `levels` of [when, RMS]. The
// second analyser that the page makes is the one where the voice leaves for the loudspeaker.
window.levels = [];
const makeAnalyser = AudioContext.prototype.createAnalyser;
AudioContext.prototype.createAnalyser = function () {
  const analyser = makeAnalyser.call(this);
  this.metersMade = (this.metersMade ?? 0) + 1;
  if (this.metersMade === 2) {
    const samples = new Float32Array(512);
    setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      window.levels.push([performance.now(), Math.hypot(...samples) / Math.sqrt(samples.length)]);
    }, 10);
  }
  return analyser;
};
