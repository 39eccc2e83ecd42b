"use strict";
// Draws what the data block says. Every text becomes a text node or an attribute: nothing in it is ever markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";

  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
    return node;
  };
  const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const seconds = (ms) => (ms / 1000).toFixed(3) + " s";

  // The shortest end of a path that no other file has.
  const shortName = (name) => {
    const parts = name.split("/").filter((part) => part !== ".");
    for (let n = 1; n < parts.length; n++) {
      const end = parts.slice(-n).join("/");
      if (data.files.filter((other) => other.name !== name && (other.name === end || other.name.endsWith("/" + end))).length === 0) return end;
    }
    return name;
  };

  // The head: what was it, did it hold, what is wrong.
  const head = el("header", {},
    el("h1", {}, data.title),
    el("p", {}, el("span", { class: "verdict " + (data.held ? "good" : "bad"), role: "status" }, data.verdict)));

  const showLine = (place) => files.show(place.file, place.line, true);
  const finding = (it) => el("details", { class: "finding " + it.severity, open: it.severity === "error" },
    el("summary", {}, el("span", { class: "sev" }, it.severity), " ", it.message, " ", el("code", { class: "dim" }, it.code)),
    el("ul", {}, it.places.map((place) => el("li", {},
      el("button", { class: "line", type: "button", onclick: () => showLine(place) }, shortName(data.files[place.file].name) + ":" + place.line),
      " ", place.text))),
    it.notes.map((note) => el("p", { class: "dim" }, note)),
    it.help.map((help) => el("p", {}, el("b", {}, "Help: "), help)));
  // What broke comes first, then what it comes from; what only could be better is there for whoever asks.
  const errors = data.findings.filter((it) => it.severity === "error").reverse();
  const others = data.findings.filter((it) => it.severity !== "error");
  const findings = data.findings.length === 0 ? null : el("section", { "aria-label": "Findings" },
    el("h2", {}, "What is wrong, and why"), errors.map(finding),
    others.length === 0 ? null : el("details", { class: "others", open: errors.length === 0 },
      el("summary", {}, others.length === 1 ? "1 warning" : others.length + " warnings"), others.map(finding)));
  const assumed = data.assumptions.length === 0 ? null : el("details", { class: "assumed" },
    el("summary", {}, "What the files do not say, and was assumed (" + data.assumptions.length + ")"),
    el("ul", {}, data.assumptions.map((text) => el("li", {}, text))));

  // What a sweep went through: all that there is to see when nothing broke.
  const covered = data.covered.length === 0 ? null : el("details", { class: "covered", open: data.runs.length === 0 },
    el("summary", {}, "What was covered"), el("ul", {}, data.covered.map((text) => el("li", {}, text))));

  // The table of cases; each opens its run.
  const NUMBERS = ["role changes", "longest outage", "failed requests", "seed", "faults"];
  const rows = [];
  const cases = data.runs.length < 2 ? null : (() => {
    // A column in which no case says anything is left out.
    const used = data.runs[0].cells.map((_, place) => data.runs.some((run) => run.cells[place][1] !== ""));
    const heads = data.runs[0].cells.map(([name]) => name).filter((_, place) => used[place]);
    const number = (name) => (NUMBERS.includes(name) ? "number" : null);
    data.runs.forEach((run, at) => {
      const cells = run.cells.filter((_, place) => used[place]).map(([name, text], place) => el("td",
        { class: [number(name), name === "broken" && text ? "bad" : ""].filter(Boolean).join(" "), "data-head": name },
        place === 0 ? el("button", { class: "open", type: "button", onclick: () => { open(at); stage.scrollIntoView({ block: "start" }); } }, text) : text));
      rows.push(el("tr", { class: run.held ? "" : "broke" }, cells));
    });
    return el("section", { "aria-label": "Cases" }, el("h2", {}, "Cases"), el("table", { class: "cases" },
      el("thead", {}, el("tr", {}, heads.map((name) => el("th", { scope: "col", class: number(name) }, name)))),
      el("tbody", {}, rows)));
  })();

  // The files, one at a time, with the line that something points at.
  const files = (() => {
    const tabs = el("div", { class: "bar", role: "tablist", "aria-label": "Files" });
    const text = el("pre", { tabindex: "0", role: "tabpanel", "aria-label": "Text of the file" });
    let shown = -1;
    const show = (at, line, scroll) => {
      const file = data.files[at];
      if (!file) return;
      if (shown !== at) {
        shown = at;
        const lines = file.text.replace(/\n$/, "").split("\n");
        text.replaceChildren(...lines.map((content, n) => el("span", { "data-line": n + 1 }, content || " ")));
        text.setAttribute("aria-label", "Text of " + file.name);
        [...tabs.children].forEach((tab, n) => tab.setAttribute("aria-selected", String(n === at)));
      }
      for (const lit of text.querySelectorAll(".lit")) { lit.classList.remove("lit"); lit.removeAttribute("aria-current"); }
      const lit = line && text.children[line - 1];
      if (!lit) return;
      lit.classList.add("lit");
      lit.setAttribute("aria-current", "true");
      text.scrollTop = Math.max(0, lit.offsetTop - text.offsetTop - text.clientHeight / 3);
      if (scroll) panel.scrollIntoView({ block: "nearest" });
    };
    data.files.forEach((file, at) => tabs.append(el("button", { type: "button", role: "tab", "aria-selected": "false", title: file.name, onclick: () => show(at) }, shortName(file.name))));
    // Only the files of the run that is shown have tabs.
    const only = ([first, end]) => {
      [...tabs.children].forEach((tab, n) => { tab.hidden = n < first || n >= end; });
      if (shown < first || shown >= end) show(first);
    };
    const panel = el("aside", { class: "card files", "aria-label": "Configuration" }, el("h3", {}, "Files"), tabs, text);
    return { panel, show, only };
  })();

  // One run.
  let run = null, view = [0, 1], picked = -1, cursor = null;
  const title = el("h2", { id: "run" });
  const range = el("span", { class: "dim mono grow" });
  const chart = el("div", { class: "chart", tabindex: "0", role: "group", "aria-label": "Timeline. The arrow keys go from event to event." });
  const now = el("div", { class: "now", role: "status", "aria-live": "polite" });
  const list = el("ol", { class: "events", "aria-label": "Events" });
  const zoom = (factor, around) => {
    const width = Math.min(run.end, Math.max(20, (view[1] - view[0]) * factor));
    const at = around ?? (picked >= 0 ? run.events[picked].at : (view[0] + view[1]) / 2);
    const share = Math.min(1, Math.max(0, (at - view[0]) / (view[1] - view[0])));
    move(at - width * share, width);
  };
  const move = (from, width) => {
    from = Math.min(Math.max(0, from), run.end - width);
    view = [from, from + width];
    draw();
  };
  const pan = (share) => move(view[0] + (view[1] - view[0]) * share, view[1] - view[0]);
  const tool = (label, name, action) => el("button", { type: "button", "aria-label": name, title: name, onclick: action }, label);
  const bar = el("div", { class: "bar" }, range,
    tool("‹", "Earlier", () => pan(-0.5)), tool("›", "Later", () => pan(0.5)),
    tool("+", "Zoom in", () => zoom(0.5)), tool("−", "Zoom out", () => zoom(2)), tool("All", "Whole run", () => move(0, run.end)));
  const key = (css, text) => el("li", {}, el("i", { style: css }), text);
  const legend = el("ul", { class: "legend", "aria-label": "Legend" },
    key("background: var(--master)", "MASTER, holds the address"), key("background: var(--backup)", "BACKUP"),
    key("border: 1px dashed var(--frozen); background: color-mix(in srgb, var(--frozen) 35%, transparent)", "frozen"),
    key("background: var(--good-soft)", "up, served"), key("background: var(--bad)", "down, requests fail"),
    key("border-left: 2px dashed var(--step); border-radius: 0; width: .5rem", "fault"),
    el("li", {}, "¦ small ticks: adverts, gratuitous ARPs, failed requests"), el("li", {}, "◆ decision"));
  const stage = el("section", { "aria-labelledby": "run" }, title, el("div", { class: "stage" },
    el("div", {},
      el("div", { class: "card" }, bar, chart, legend, now),
      el("div", { class: "card list", style: "margin-top: 1rem" }, el("h3", {}, "What happened, and why"), list)),
    files.panel));

  const stateAt = (lane, at) => lane.spans.find((span) => span.from <= at && at < span.to);
  const HEIGHT = { role: 24, address: 9, server: 18, client: 20 };
  const MARKED = ["decision", "warning", "error", "violated", "trouble"];

  // Round steps of the axis, about one for every 90 pixels.
  const axisStep = (width) => {
    const wanted = ((view[1] - view[0]) * 90) / width;
    for (let unit = 1; ; unit *= 10) for (const step of [1, 2, 5]) if (step * unit >= wanted) return step * unit;
  };
  const fits = (text, width) => text.length * 7 + 10 < width;

  function draw() {
    const whole = Math.max(260, chart.clientWidth);
    const wide = whole > 640;
    const left = wide ? 178 : 0;
    const width = whole - left - 8;
    const x = (at) => left + ((at - view[0]) / (view[1] - view[0])) * width;
    const inside = (at) => Math.min(left + width, Math.max(left, x(at)));
    const visible = (at) => at >= view[0] && at <= view[1];
    const steps = run.events.filter((event) => event.kind === "step");
    const top = 44;
    let y = top, node = null;
    const drawn = [], marks = [];
    const places = new Map();
    for (const lane of run.lanes) {
      const height = HEIGHT[lane.kind];
      if (lane.node !== node) {
        y += node === null ? 0 : 10;
        if (!wide) { drawn.push(svg("text", { x: 2, y: y + 11, class: "name" }, lane.node)); y += 16; }
      }
      const label = lane.kind === "address" ? "" : lane.label;
      if (wide) {
        if (lane.node !== node) drawn.push(svg("text", { x: 0, y: y + 12, class: "name" }, cut(lane.node, 24), svg("title", {}, lane.node)));
        const shifted = lane.node !== node ? 26 : 13;
        drawn.push(svg("text", { x: 0, y: y + (lane.kind === "address" ? 9 : shifted), class: "dim", style: "font-size: 11px" },
          cut(lane.label, 28), svg("title", {}, lane.label)));
      } else if (label) {
        drawn.push(svg("text", { x: 2, y: y + 9, class: "dim", style: "font-size: 11px" }, cut(label, Math.floor(whole / 6.2))));
        y += 15;
      }
      const group = svg("g", { role: "img", "aria-label": lane.node + ", " + lane.label });
      group.append(svg("line", { class: "rail", x1: left, x2: left + width, y1: y + height / 2, y2: y + height / 2 }));
      for (const span of lane.spans) {
        if (span.to < view[0] || span.from > view[1]) continue;
        const from = inside(span.from), wideness = Math.max(0.75, inside(span.to) - from);
        group.append(svg("rect", { class: span.state, x: from, y, width: wideness, height, rx: 2 }, svg("title", {}, span.text)));
        const named = !["up", "served", "held", "off"].includes(span.state) && height > 12;
        if (named && fits(span.text, wideness)) group.append(svg("text", { class: "on-" + span.state, x: from + 6, y: y + height / 2 + 4 }, span.text));
        else if (named && fits(span.text.slice(0, 6), wideness)) group.append(svg("text", { class: "on-" + span.state, x: from + 4, y: y + height / 2 + 4 }, cut(span.text, Math.floor((wideness - 8) / 7))));
      }
      const ticks = lane.ticks.filter(visible);
      // Ticks that would be one grey bar are thinned to what a screen can show.
      const path = [];
      let last = -9;
      for (const at of ticks) {
        const place = Math.round(x(at) * 2) / 2;
        if (place - last < 1) continue;
        last = place;
        path.push(lane.kind === "role" ? `M${place} ${y + height + 1}v6` : `M${place} ${y}v${height}`);
      }
      if (path.length) group.append(svg("path", { class: "ticks " + lane.kind, d: path.join("") }));
      drawn.push(group);
      if (!places.has(lane.node)) places.set(lane.node, []);
      places.get(lane.node).push([lane.router, y]);
      node = lane.node;
      // Adverts stand below their bar.
      y += height + (lane.kind === "role" ? 9 : 4);
      if (wide && lane.kind !== "role" && lane.kind !== "address") y += 8;
    }
    run.events.forEach((event, at) => {
      if (!MARKED.includes(event.kind) || !visible(event.at)) return;
      // On the lane of its virtual router, else on the first of its node.
      const lanes = places.get(event.node) ?? [[null, top - 8]];
      const place = (lanes.find(([router]) => router && event.text.startsWith(router + ": ")) ?? lanes[0])[1];
      const size = at === picked ? 7 : 5, cx = x(event.at), cy = place;
      marks.push(svg("path", { class: "mark " + event.kind + (at === picked ? " picked" : ""), d: `M${cx} ${cy - size}l${size} ${size}l${-size} ${size}l${-size} ${-size}z`, "data-event": at },
        svg("title", {}, seconds(event.at) + " " + (event.node || "") + ": " + event.text)));
    });
    const bottom = y + 2;
    const grid = [];
    const step = axisStep(width);
    for (let at = Math.ceil(view[0] / step) * step; at <= view[1]; at += step) {
      grid.push(svg("line", { class: "grid", x1: x(at), x2: x(at), y1: top - 10, y2: bottom }));
      grid.push(svg("text", { class: "dim", x: Math.min(left + width - 30, Math.max(left, x(at) - 12)), y: 12, style: "font-size: 11px" }, +(at / 1000).toFixed(3) + " s"));
    }
    // Labels of faults stand in a row of their own as long as there is room for them.
    const faults = [];
    let free = -1;
    for (const event of steps.filter((event) => visible(event.at))) {
      const text = (event.node ? event.node + " " : "") + event.text.split(":")[0];
      const at = x(event.at), long = text.length * 7 + 8;
      const from = Math.min(at + 3, left + width - long);
      const group = svg("g", { class: "step" }, svg("line", { x1: at, x2: at, y1: 18, y2: bottom }), svg("title", {}, seconds(event.at) + " " + (event.node || "") + " " + event.text));
      if (from > free) { group.append(svg("text", { x: from, y: 29 }, text)); free = from + long; }
      faults.push(group);
    }
    const pickedAt = picked >= 0 && visible(run.events[picked].at) ? x(run.events[picked].at) : null;
    const defs = svg("defs", {}, svg("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("rect", { width: 6, height: 6, style: "fill: var(--bad-soft)" }), svg("line", { x1: 0, y1: 0, x2: 0, y2: 6, style: "stroke: var(--bad); stroke-width: 2" })));
    const line = svg("line", { class: "cursor", y1: 18, y2: bottom, visibility: "hidden" });
    chart.replaceChildren(svg("svg", { viewBox: `0 0 ${whole} ${bottom + 4}`, height: bottom + 4, role: "group", "aria-label": "Swim lanes of " + run.title },
      defs, grid, drawn, faults,
      pickedAt === null ? null : svg("line", { class: "picked-line", x1: pickedAt, x2: pickedAt, y1: 18, y2: bottom }),
      marks, line));
    range.textContent = seconds(view[0]) + " – " + seconds(view[1]);
    cursor = { x, left, width, line, at: (px) => view[0] + ((px - left) / width) * (view[1] - view[0]) };
  }
  const cut = (text, most) => (text.length > most ? text.slice(0, Math.max(1, most - 1)) + "…" : text);

  const states = (at) => run.lanes.filter((lane) => lane.kind !== "address" && (lane.kind !== "server" || stateAt(lane, at))).map((lane) => {
    const span = stateAt(lane, at);
    return lane.node + (lane.kind === "role" && run.lanes.filter((other) => other.kind === "role" && other.node === lane.node).length > 1 ? " " + lane.label : "") +
      " " + (span ? span.text : "–");
  }).join(" · ");
  const tell = (at, event) => now.replaceChildren(
    el("div", {}, el("time", {}, seconds(at)), " ", event ? el("b", {}, event.node || "network") : null, event ? " " + event.text : ""),
    el("div", { class: "states" }, states(at)));

  // The nearest event to a place, if it is near.
  const near = (px) => {
    let best = -1, distance = 9;
    run.events.forEach((event, at) => {
      const apart = Math.abs(cursor.x(event.at) - px) + (MARKED.includes(event.kind) ? 0 : 3);
      if (apart < distance) { best = at; distance = apart; }
    });
    return best;
  };
  const inChart = (event) => {
    const box = chart.getBoundingClientRect();
    return Math.min(cursor.left + cursor.width, Math.max(cursor.left, event.clientX - box.left));
  };
  chart.addEventListener("pointermove", (event) => {
    const px = inChart(event), at = near(px);
    cursor.line.setAttribute("x1", px);
    cursor.line.setAttribute("x2", px);
    cursor.line.setAttribute("visibility", "visible");
    tell(Math.round(cursor.at(px)), at >= 0 ? run.events[at] : null);
  });
  chart.addEventListener("pointerleave", () => { cursor.line.setAttribute("visibility", "hidden"); if (picked >= 0) tell(run.events[picked].at, run.events[picked]); });
  chart.addEventListener("click", (event) => {
    const on = event.target.closest ? event.target.closest("[data-event]") : null;
    const at = on ? Number(on.getAttribute("data-event")) : near(inChart(event));
    if (at >= 0) pick(at, true);
  });
  chart.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.8 : 1.25, cursor.at(inChart(event)));
  }, { passive: false });
  const keys = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "+") return zoom(0.5);
    if (event.key === "-") return zoom(2);
    if (step === undefined || run.events.length === 0) return;
    event.preventDefault();
    pick(Math.min(run.events.length - 1, Math.max(0, picked + step)), true, event.currentTarget === list);
  };
  chart.addEventListener("keydown", keys);
  list.addEventListener("keydown", keys);

  // Chooses an event: the chart, the list and the files show it.
  function pick(at, reveal, focus) {
    picked = at;
    const event = run.events[at];
    [...list.children].forEach((item, n) => {
      const button = item.firstChild;
      button.tabIndex = n === at ? 0 : -1;
      if (n === at) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
    });
    const button = list.children[at].firstChild;
    if (reveal) list.scrollTop = button.offsetTop - list.offsetTop - list.clientHeight / 2;
    if (focus) button.focus({ preventScroll: true });
    if (event.at < view[0] || event.at > view[1]) move(event.at - (view[1] - view[0]) / 2, view[1] - view[0]); else draw();
    tell(event.at, event);
    if (event.place) files.show(event.place.file, event.place.line);
    // An address that shows this very event to whoever gets the page.
    try { history.replaceState(null, "", "#" + data.runs.indexOf(run) + "." + at); } catch { /* not everywhere */ }
  }

  function open(at) {
    run = data.runs[at];
    picked = -1;
    view = [0, Math.max(1, run.end)];
    files.only(run.files);
    rows.forEach((row, n) => row.setAttribute("aria-selected", String(n === at)));
    title.textContent = run.title + (run.seed === null ? "" : " (seed " + run.seed + ")");
    list.replaceChildren(...run.events.map((event, n) => el("li", {},
      el("button", { type: "button", tabindex: n === 0 ? "0" : "-1", class: event.kind + (event.place ? " has-line" : ""), onclick: () => pick(n), onfocus: () => tell(event.at, event) },
        el("time", {}, seconds(event.at)), el("span", { class: "who" }, event.node || "network"), el("span", { class: "what" }, event.text)))));
    draw();
    // What one wants to see first: the first thing that broke, else the first fault, else the first change.
    const first = ["violated", "step", "trouble", "decision"].map((kind) => run.events.findIndex((event) => event.kind === kind)).find((found) => found >= 0);
    if (first !== undefined) pick(first, true); else now.replaceChildren("Nothing happened.");
  }

  const parts = [head, findings, assumed, covered, cases, data.runs.length ? stage : data.files.length ? files.panel : null];
  document.body.append(el("main", {}, parts.filter(Boolean)));
  if (data.files.length) files.show(0);
  if (data.runs.length) {
    const broke = data.runs.findIndex((it) => !it.held);
    const [, asked, event] = /^#(\d+)\.(\d+)$/.exec(location.hash) || [];
    open(data.runs[asked] ? Number(asked) : broke >= 0 ? broke : Math.min(1, data.runs.length - 1));
    if (data.runs[asked] && run.events[event]) {
      pick(Number(event), true);
      stage.scrollIntoView({ block: "start" });
    }
    new ResizeObserver(() => draw()).observe(chart);
  }
  addEventListener("beforeprint", () => { for (const it of document.querySelectorAll("details")) it.open = true; });
})();
