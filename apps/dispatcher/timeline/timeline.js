"use strict";

const scroll = document.querySelector(".scroll");
const chart = document.querySelector(".chart");
const zoom = document.getElementById("zoom");
const seconds = Number(scroll.dataset.lengthMs) / 1000;
const [NEAREST, FARTHEST] = [600, 4];

function show() {
  const middle = (scroll.scrollLeft + scroll.clientWidth / 2) / chart.clientWidth;
  const perSecond = FARTHEST * (NEAREST / FARTHEST) ** (Number(zoom.value) / 100);
  chart.style.width = `${seconds * perSecond}px`;
  scroll.dataset.zoom = perSecond >= 40 ? 1 : perSecond >= 14 ? 5 : perSecond >= 7 ? 10 : 60;
  document.getElementById("scale").textContent = `${Math.round(perSecond)} pixels a second`;
  scroll.scrollLeft = middle * chart.clientWidth - scroll.clientWidth / 2;
  hideCutLabels();
}

// Half a number would be another number.
function hideCutLabels() {
  const labels = [...chart.querySelectorAll(".stage text, .state text")];
  for (const label of labels) label.style.display = "";
  const fits = labels.map((label) => {
    const box = label.parentNode.querySelector("rect");
    return label.getBBox().width + 3 <= box.getBBox().width;
  });
  labels.forEach((label, i) => (label.style.display = fits[i] ? "" : "none"));
}

zoom.value = (100 * Math.log(100 / FARTHEST)) / Math.log(NEAREST / FARTHEST);
zoom.addEventListener("input", show);
show();
scroll.scrollLeft = 0;
