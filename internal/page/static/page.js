// Keeps the page up to date: the server says that something has changed, and the parts that differ are taken from the page as the
// server renders it now. Names of strangers pass through the server's templates only, never through HTML that is made here.
"use strict";
(() => {
  const base = document.body.dataset.base;
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let busy = false, again = false;

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Part": "1" } });
      if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      for (const chart of charts) await chart();
    } catch { lost(); } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  }

  function swap(fresh) {
    for (const part of document.querySelectorAll("[data-part]")) {
      const other = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      if (!other || other.isEqualNode(part)) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement : null;
      const at = part.scrollLeft;
      part.className = other.className;
      part.replaceChildren(...document.adoptNode(other).childNodes);
      part.scrollLeft = at;
      if (focused && focused !== part && focused.id) document.getElementById(focused.id)?.focus({ preventScroll: true });
    }
  }

  function lost() {
    const live = document.getElementById("live");
    live.textContent = "not connected: this page is out of date";
    live.classList.add("lost");
  }

  const charts = [];
  const holder = document.querySelector("[data-history]");
  if (holder) {
    const axis = () => ({ stroke: color("--soft"), grid: { stroke: color("--line") }, ticks: { stroke: color("--line") } });
    const make = (id, series) => {
      const el = document.getElementById(id);
      if (!el) return () => {};
      const build = (data) => new uPlot({
        width: el.clientWidth, height: 200, axes: [axis(), axis()], scales: { y: { range: (_, lo, hi) => [0, Math.max(1, hi * 1.05)] } },
        series: [{}, ...series.map(([label, c, dash]) => ({ label, stroke: color(c), width: 1.5, dash, points: { show: false } }))],
      }, data, el);
      let plot;
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { plot?.destroy(); plot = undefined; refresh(); });
      addEventListener("resize", () => plot?.setSize({ width: el.clientWidth, height: 200 }));
      return (data) => { if (plot) plot.setData(data); else plot = build(data); };
    };
    const target = Number(holder.dataset.target);
    const jobs = make("chart-jobs", [["queued", "--a"], ["running", "--b"]]);
    const wait = make("chart-wait", [["wait", "--a"], ["target", "--c", [6, 4]]]);
    const workers = make("chart-workers", [["wanted", "--b"], ["ready", "--a"], ["maximum", "--c", [6, 4]]]);
    const rate = make("chart-rate", [["completed", "--a"], ["failed", "--b"]]);
    charts.push(async () => {
      const answer = await fetch(holder.dataset.history);
      if (!answer.ok) return;
      const h = await answer.json();
      jobs([h.at, h.queued, h.running]);
      wait([h.at, h.wait, h.at.map(() => target || null)]);
      workers([h.at, h.desired, h.ready, h.max]);
      rate([h.at, h.completedRate, h.failedRate]);
    });
  }

  const events = new EventSource(base + "events");
  events.addEventListener("change", refresh);
  events.onopen = () => document.getElementById("live").classList.remove("lost");
  events.onerror = lost;
  refresh();
})();
