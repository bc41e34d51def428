// The three-dimensional view: what is drawn, what is switched on, and where the camera is.
(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("scene").textContent);
  const view = document.getElementById("view"), tip = document.getElementById("tip");
  const status = document.getElementById("status");
  const style = getComputedStyle(document.documentElement);
  function color(name) { return style.getPropertyValue("--" + name).trim(); }
  const INPUT = 0, REBUILT = 1, TRUTH = 2, BOXES = 3, CHOSEN = 4, LABELS = 5;

  function numbers(text, Kind) {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Kind(bytes.buffer);
  }
  function places(packed) {
    return { x: numbers(packed.x, Float32Array), y: numbers(packed.y, Float32Array), z: numbers(packed.z, Float32Array) };
  }
  function paint(places, palette) {
    const last = palette.length - 1;
    return { color: places, colorscale: palette.map((value, at) => [at / last, value]), cmin: 0, cmax: last };
  }
  function cloud(at, size, paint, visible) {
    return Object.assign({ type: "scatter3d", mode: "markers", hoverinfo: "none", showlegend: false, visible: visible,
      marker: Object.assign({ size: size, line: { width: 0 }, showscale: false }, paint) }, at);
  }

  const points = places(data.points), index = numbers(data.points.index, Uint32Array);
  const shade = numbers(data.shade, Uint8Array);
  const fields = data.fields.map((field) => ({ name: field.name, unit: field.unit,
    values: numbers(field.values, Float32Array), paint: paint(numbers(field.color, Uint16Array), field.palette) }));
  const grey = paint(shade, data.grey);

  function lines(boxes, width, ink) {
    const at = { x: [], y: [], z: [] };
    for (const box of boxes) box.lines.forEach((corner, number) => {
      at.x.push(corner[0]); at.y.push(corner[1]); at.z.push(corner[2]);
      if (number % 2) { at.x.push(null); at.y.push(null); at.z.push(null); }
    });
    return Object.assign({ type: "scatter3d", mode: "lines", hoverinfo: "skip", showlegend: false,
      line: { width: width, color: ink } }, at);
  }
  function traces() {
    const rebuilt = data.reconstruction, truth = data.truth;
    const none = { x: [], y: [], z: [] };
    const labels = data.defects.map((defect) => defect.label);
    let known = none;
    if (truth) {
      const at = numbers(truth.at, Uint32Array);
      known = { x: at.length ? Float32Array.from(at, (i) => points.x[i]) : [],
        y: at.length ? Float32Array.from(at, (i) => points.y[i]) : [],
        z: at.length ? Float32Array.from(at, (i) => points.z[i]) : [] };
    }
    return [
      cloud(points, data.size, fields.length ? fields[0].paint : grey, true),
      Object.assign(cloud(rebuilt ? places(rebuilt) : none, rebuilt ? rebuilt.size : 2,
        rebuilt ? paint(numbers(rebuilt.color, Uint16Array), rebuilt.palette) : {}, false), { hoverinfo: "skip" }),
      Object.assign(cloud(known, data.size + 1.5, { color: color("truth") }, false), { hoverinfo: "skip" }),
      lines(data.defects, 3, color("ink")),
      lines([], 7, color("accent")),
      { type: "scatter3d", mode: "text", hoverinfo: "skip", showlegend: false,
        x: labels.map((at) => at[0]), y: labels.map((at) => at[1]), z: labels.map((at) => at[2]),
        text: data.defects.map((defect) => "<b>" + defect.name + "</b>"), textfont: { size: 17, color: color("ink") } },
    ];
  }
  function axis(name, settings) {
    return { title: { text: name + (data.unit ? " [" + data.unit + "]" : ""), font: { size: 12 } },
      range: settings.range, tickvals: settings.at, ticktext: settings.text, tickfont: { size: 10 },
      showspikes: false, showbackground: false, gridcolor: color("grid"), zeroline: false, linecolor: color("edge") };
  }
  function layout() {
    const [x, y, z] = data.axes;
    return { margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: color("paper"), showlegend: false, uirevision: "kept",
      font: { family: "system-ui, sans-serif", color: color("ink") },
      scene: { xaxis: axis("X", x), yaxis: axis("Y", y), zaxis: axis("Z", z), dragmode: "orbit", hovermode: "closest",
        aspectmode: "manual", aspectratio: { x: x.ratio, y: y.ratio, z: z.ratio }, camera: fitted(data.camera) } };
  }
  function copy(camera) { return JSON.parse(JSON.stringify(camera)); }
  // Cameras are meant for a view that is at least as wide as high; in a narrower one they step back.
  function fitted(camera) {
    const moved = copy(camera), factor = Math.max(1, view.clientHeight / Math.max(view.clientWidth, 1));
    for (const name of "xyz") moved.eye[name] = moved.center[name] + (moved.eye[name] - moved.center[name]) * factor;
    return moved;
  }
  function move(camera, words) {
    status.textContent = words;
    drawnSize = sizeFor(camera);
    return Plotly.update(view, { "marker.size": drawnSize }, { "scene.camera": copy(camera) }, [INPUT]);
  }
  // Points keep their size in pixels when the camera comes nearer, so gaps would open between them.
  let drawnSize = data.size, waiting = 0;
  function sizeFor(camera) {
    const away = Math.hypot(camera.eye.x - camera.center.x, camera.eye.y - camera.center.y, camera.eye.z - camera.center.z);
    return Math.round(data.size * Math.min(Math.max(data.distance / away, 1), 5) * 4) / 4;
  }
  function follow() {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const size = sizeFor(view._fullLayout.scene._scene.getCamera());
      if (Math.abs(size - drawnSize) < 0.2 * drawnSize) return;
      drawnSize = size;
      Plotly.restyle(view, { "marker.size": size }, [INPUT]);
    }, 250);
  }

  function chooseDefect(row) {
    const defect = data.defects[Number(row.dataset.defect)];
    for (const other of row.parentElement.rows) other.removeAttribute("aria-current");
    row.setAttribute("aria-current", "true");
    const box = lines([defect], 7, color("accent"));
    Plotly.restyle(view, { x: [box.x], y: [box.y], z: [box.z] }, [CHOSEN])
      .then(() => move(fitted(defect.camera), "The camera is at defect " + defect.name + "."));
    const stage = view.getBoundingClientRect();
    if (stage.bottom < 80 || stage.top > window.innerHeight - 80)
      view.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }
  function listen() {
    for (const row of document.querySelectorAll("tr[data-defect]")) {
      row.addEventListener("click", () => chooseDefect(row));
      row.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        chooseDefect(row);
      });
    }
    const shown = { input: [INPUT], reconstruction: [REBUILT], truth: [TRUTH], defects: [BOXES, CHOSEN, LABELS] };
    for (const box of document.querySelectorAll("input[data-show]"))
      box.addEventListener("change", () => Plotly.restyle(view, { visible: box.checked }, shown[box.dataset.show]));
    const choice = document.getElementById("field");
    choice.addEventListener("change", () => {
      const number = Number(choice.value), paint = number < 0 ? grey : fields[number].paint;
      for (const bar of document.querySelectorAll("[data-bar]")) bar.hidden = Number(bar.dataset.bar) !== number;
      Plotly.restyle(view, { "marker.color": [paint.color], "marker.colorscale": [paint.colorscale],
        "marker.cmax": paint.cmax }, [INPUT]);
    });
    for (const button of document.querySelectorAll("button[data-view]"))
      button.addEventListener("click", () => {
        move(fitted(data.sides[button.dataset.view] || data.camera), "The camera shows: " + button.textContent + ".");
      });
    for (const button of document.querySelectorAll("button[data-zoom]"))
      button.addEventListener("click", () => {
        const camera = copy(view._fullLayout.scene._scene.getCamera()), factor = Number(button.dataset.zoom);
        for (const name of "xyz") camera.eye[name] = camera.center[name] + (camera.eye[name] - camera.center[name]) * factor;
        move({ center: camera.center, eye: camera.eye, up: camera.up }, "");
      });
  }

  // The point's own numbers, not what is drawn: its place as exactly as the table has lengths, values to five digits.
  function told(number) {
    const unit = data.unit ? " " + data.unit : "";
    const at = [points.x[number], points.y[number], points.z[number]]
      .map((value, axis) => Number((value + data.origin[axis]).toFixed(data.decimals)));
    const rows = ["point " + (index[number] + 1) + " of " + data.scored, "X " + at[0] + "  Y " + at[1] + "  Z " + at[2] + unit];
    if (data.toScan) {
      const place = [points.x[number], points.y[number], points.z[number]].map((value, axis) => value + data.origin[axis]);
      const own = data.toScan.map((row) => Number((row[0] * place[0] + row[1] * place[1] + row[2] * place[2] + row[3]).toFixed(data.decimals)));
      rows.push("in the scan: X " + own[0] + "  Y " + own[1] + "  Z " + own[2] + unit);
    }
    for (const field of fields) {
      const value = field.values[number];
      rows.push(field.name + ": " + (Number.isNaN(value) ? "unknown" : Number(value.toPrecision(5)) + (field.unit ? " " + field.unit : "")));
    }
    return rows.join("\n");
  }
  function watch() {
    let pointer = [0, 0];
    view.addEventListener("pointermove", (event) => {
      const stage = view.getBoundingClientRect();
      pointer = [event.clientX - stage.left, event.clientY - stage.top];
    }, true);
    view.on("plotly_hover", (event) => {
      const hit = event.points[0];
      if (!hit || hit.curveNumber !== INPUT) return;
      tip.textContent = told(hit.pointNumber);
      tip.hidden = false;
      tip.style.left = Math.max(0, Math.min(pointer[0] + 14, view.clientWidth - tip.offsetWidth)) + "px";
      tip.style.top = Math.max(0, Math.min(pointer[1] + 14, view.clientHeight - tip.offsetHeight)) + "px";
    });
    view.on("plotly_relayout", follow);
    view.on("plotly_unhover", () => { tip.hidden = true; });
    view.addEventListener("pointerleave", () => { tip.hidden = true; });
  }

  function hasWebgl() {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  }
  if (!hasWebgl()) {
    view.hidden = true;
    document.getElementById("failed").hidden = false;
    return;
  }
  Plotly.newPlot(view, traces(), layout(), { displaylogo: false, responsive: true,
    modeBarButtons: [["orbitRotation", "pan3d", "zoom3d", "toImage"]] }).then(() => {
    listen();
    watch();
    view.dataset.state = "drawn";
    view.dataset.milliseconds = String(Math.round(performance.now()));
  });
})();
