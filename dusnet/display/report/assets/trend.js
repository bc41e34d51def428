// The charts of a trend: points by verdict, step lines for limits, and a click that opens the page of a scan.
(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("trend").textContent);
  const style = getComputedStyle(document.documentElement);
  function color(name) { return style.getPropertyValue("--" + name).trim(); }
  const ink = color("ink"), faint = color("faint"), line = color("line");

  function marks(kind) {
    return { type: "scatter", mode: "markers", name: kind.name, x: kind.x, y: kind.y, text: kind.text, customdata: kind.links,
      hoverinfo: "text", marker: { symbol: kind.symbol, size: kind.size, color: kind.color, line: kind.ring ? { width: 2, color: kind.color } : { width: 0 } } };
  }
  function step(kind) {
    return { type: "scatter", mode: "lines", name: kind.name, x: kind.x, y: kind.y, hoverinfo: "skip",
      line: { shape: kind.shape, color: kind.faint ? faint : ink, width: kind.width, dash: kind.dash } };
  }
  function draw(chart) {
    const place = document.getElementById(chart.id);
    const axis = { gridcolor: line, linecolor: faint, zerolinecolor: line, automargin: true };
    const layout = { height: 340, margin: { l: 70, r: 16, t: 34, b: 44 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
      font: { family: "inherit", size: 12, color: ink }, hovermode: "closest", showlegend: true, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      xaxis: Object.assign({ type: "date", title: { text: "time of judging (UTC)" } }, axis),
      yaxis: Object.assign({ type: chart.scale, title: { text: chart.label } }, chart.range ? { range: chart.range } : {}, axis) };
    const traces = chart.lines.map(step).concat(chart.points.map(marks));
    Plotly.newPlot(place, traces, layout, { responsive: true, displayModeBar: false }).then(() => { place.dataset.state = "drawn"; });
    place.on("plotly_click", (event) => {
      const link = event.points[0].customdata;
      if (link) window.location.assign(link);
    });
  }
  data.charts.forEach(draw);
})();
