"use strict";
(() => {
  const holders = Array.from(document.querySelectorAll(".plot"));
  const settings = { responsive: true, displayModeBar: false, showTips: false };
  for (const holder of holders) {
    const plot = JSON.parse(document.getElementById(holder.dataset.plot).textContent);
    Plotly.newPlot(holder, plot.data, plot.layout, settings);
  }
  const wide = (width) => holders.forEach((each) => Plotly.relayout(each, { width }));
  addEventListener("beforeprint", () => wide(660));
  addEventListener("afterprint", () => wide(null));
})();
