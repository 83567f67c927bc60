"use strict";
// Draws the figures of the page, in the colours of its scheme; on a live page, asks for newer ones.
(() => {
  const ZOOM_BUTTONS = ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"];
  const byId = (id) => document.getElementById(id);
  const main = document.querySelector("main");
  const coarse = matchMedia("(pointer: coarse)").matches;
  const chosen = {};
  const served = new Map();
  let state = JSON.parse(byId("data").textContent);

  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // A copy with colours for their names; only where plotly looks for colours.
  function coloured(value, key) {
    if (Array.isArray(value)) return value.map((item) => coloured(item, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, k)]));
    }
    const named = typeof value === "string" && value[0] === "@" && /color(scale)?$/.test(key);
    return named ? colour(value.slice(1)) : value;
  }

  function draw(chart) {
    const id = chart.dataset.chart;
    const figure = (state.charts[id] || [])[chosen[id] || 0];
    if (!figure) return;
    const ink = colour("ink");
    const layout = coloured({
      ...figure.layout,
      uirevision: state.run,
      autosize: true,
      dragmode: coarse ? false : "zoom",
      margin: { l: 8, r: 12, t: 6, b: 8 },
      paper_bgcolor: "@page",
      plot_bgcolor: "@page",
      font: { color: "@ink", size: 12, family: getComputedStyle(document.body).fontFamily },
      hoverlabel: { bgcolor: "@raised", bordercolor: "@grid", font: { color: ink } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "@muted", activecolor: "@accent" },
    });
    const zooms = !(layout.xaxis.fixedrange && layout.yaxis.fixedrange);
    // Under a finger the buttons are always there, and need room that the legend leaves.
    if (coarse && layout.legend) {
      Object.assign(layout.legend, { yref: "container", y: 0, yanchor: "bottom" });
    }
    layout.margin.t = coarse && zooms ? 40 : layout.legend ? 28 : 6;
    // A choice of metric keeps the zoom along x alone.
    layout.yaxis.uirevision = `${state.run} ${chosen[id] || 0}`;
    Plotly.react(chart, coloured(figure.data), layout, {
      responsive: true,
      displaylogo: false,
      displayModeBar: coarse ? zooms : "hover",
      // Named one by one: plotly's own choice has one that sends the data to its maker.
      modeBarButtons: [["toImage", ...(zooms ? ZOOM_BUTTONS : [])]],
      plotlyServerURL: "",
    });
  }

  const charts = (root) => [...root.querySelectorAll(".chart")];
  const drawAll = () => charts(document).forEach(draw);

  // + and - zoom along x, arrows move, 0 shows all.
  main.addEventListener("keydown", (event) => {
    const chart = event.target;
    if (!chart._fullLayout || event.ctrlKey || event.metaKey || event.altKey) return;
    const axis = chart._fullLayout.xaxis;
    if (axis.fixedrange) return;
    const [from, to] = axis.range;
    const width = to - from;
    const ranges = {
      "+": [from + width / 4, to - width / 4],
      "-": [from - width / 2, to + width / 2],
      ArrowLeft: [from - width / 4, to - width / 4],
      ArrowRight: [from + width / 4, to + width / 4],
    };
    if (event.key === "0") {
      Plotly.relayout(chart, { "xaxis.autorange": true, "yaxis.autorange": true });
    } else if (ranges[event.key]) {
      Plotly.relayout(chart, { "xaxis.range": ranges[event.key] });
    } else return;
    event.preventDefault();
  });

  main.addEventListener("change", (event) => {
    const id = event.target.dataset.for;
    if (!id) return;
    chosen[id] = Number(event.target.value);
    draw(byId(`${id}-chart`));
  });

  // What the reader has drawn, opened and chosen goes over into the new section.
  function carryOver(old, section) {
    for (const chart of charts(section)) {
      const drawn = old.querySelector(`#${chart.id}`);
      if (!drawn) continue;
      drawn.setAttribute("aria-label", chart.getAttribute("aria-label"));
      drawn.style.height = chart.style.height;
      chart.replaceWith(drawn);
    }
    for (const part of section.querySelectorAll("details")) {
      part.open = Boolean(old.querySelector(`#${part.id}`)?.open);
    }
    for (const choice of section.querySelectorAll("select")) {
      choice.value = chosen[choice.dataset.for] || 0;
    }
    for (const box of section.querySelectorAll(".scroll")) {
      const before = old.querySelector(`#${box.id}`);
      if (before) requestAnimationFrame(() => { box.scrollLeft = before._left || 0; });
    }
  }

  function replaceSections(html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    const sections = [...fresh.content.children];
    const ids = new Set(sections.map((section) => section.id));
    const focused = document.activeElement?.id;
    for (const old of [...main.children]) {
      if (!ids.has(old.id)) old.remove();
    }
    let next = main.firstElementChild;
    for (const section of sections) {
      const old = byId(section.id);
      const text = section.outerHTML;
      if (old && served.get(section.id) === text) {
        next = old.nextElementSibling;
        continue;
      }
      served.set(section.id, text);
      if (old) {
        next = old.nextElementSibling;
        for (const box of old.querySelectorAll(".scroll")) box._left = box.scrollLeft;
        carryOver(old, section);
        old.replaceWith(section);
      } else main.insertBefore(section, next);
    }
    if (focused && document.activeElement?.id !== focused) {
      byId(focused)?.focus({ preventScroll: true });
    }
  }

  function show(newer) {
    const before = byId("state").textContent;
    const another = newer.run !== state.run;
    state = newer;
    if (another) for (const id of Object.keys(chosen)) delete chosen[id];
    document.title = newer.title;
    replaceSections(newer.html);
    drawAll();
    const now = byId("state").textContent;
    if (now !== before) byId("announcement").textContent = `The run: ${now}`;
  }

  async function poll() {
    try {
      const answer = await fetch(`state?since=${encodeURIComponent(state.version)}`);
      const newer = await answer.json();
      byId("connection").hidden = true;
      if (newer.version !== state.version) show(newer);
    } catch {
      byId("connection").hidden = false;
    }
    if (!state.over) setTimeout(poll, state.every);
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  for (const section of main.children) served.set(section.id, section.outerHTML);
  drawAll();
  if (state.every) setTimeout(poll, state.every);
})();
