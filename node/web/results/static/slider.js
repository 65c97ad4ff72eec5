// The slider of a result's page: slices by mouse, wheel and keys, without loading the page again.
// Without this script the links and the form of the page do the same.
"use strict";
const figure = document.querySelector("figure[data-count]");
if (figure) {
  const image = figure.querySelector("img");
  const slider = document.getElementById("slice");
  const form = document.querySelector("form.looks");
  const said = document.getElementById("where");
  const count = Number(figure.dataset.count);
  const captions = JSON.parse(figure.dataset.captions);
  const near = new Map();
  let wanted = Number(figure.dataset.slice);
  let loading = false;

  const address = (k) => {
    const query = new URLSearchParams(new FormData(form));
    query.delete("slice");
    query.set("v", figure.dataset.mark);
    return `${figure.dataset.base}/slice/${k}.png?${query}`;
  };

  // One picture is on its way at a time; what was asked for meanwhile is next, what lies between is left out.
  const show = async () => {
    if (loading) return;
    loading = true;
    let shown = null;
    while (shown !== address(wanted)) {
      const [k, source] = [wanted, address(wanted)];
      const next = near.get(source) || Object.assign(new Image(), { src: source });
      try { await next.decode(); } catch { /* the picture itself says that it is broken */ }
      image.src = source;
      image.alt = captions[k - 1];
      said.textContent = `Slice ${k} of ${count}`;
      shown = source;
    }
    loading = false;
    slider.setAttribute("aria-valuetext", captions[wanted - 1]);
    remember();
    fetchAround();
  };

  const fetchAround = () => {
    const around = [1, -1, 2, -2, 3].map((step) => wanted + step).filter((k) => k >= 1 && k <= count).map(address);
    for (const source of near.keys()) if (!around.includes(source)) near.delete(source);
    for (const source of around) {
      if (!near.has(source)) near.set(source, Object.assign(new Image(), { src: source }));
    }
  };

  const remember = () => {
    const query = new URLSearchParams(new FormData(form));
    query.set("slice", wanted);
    history.replaceState(null, "", `?${query}`);
  };

  const go = (k) => {
    wanted = Math.min(Math.max(k, 1), count);
    slider.value = wanted;
    form.elements.slice.value = wanted;
    show();
  };

  const STEPS = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
  const onKey = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in STEPS) go(wanted + STEPS[event.key]);
    else if (event.key === "Home") go(1);
    else if (event.key === "End") go(count);
    else if (event.key === "o") { form.elements.overlay.value = form.elements.overlay.value === "on" ? "off" : "on"; show(); }
    else return;
    event.preventDefault();
  };

  figure.tabIndex = 0;
  figure.addEventListener("keydown", onKey);
  slider.addEventListener("keydown", onKey);
  slider.addEventListener("input", () => go(Number(slider.value)));
  figure.addEventListener("wheel", (event) => { event.preventDefault(); go(wanted + Math.sign(event.deltaY)); }, { passive: false });
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => { event.preventDefault(); show(); });
  form.querySelector("button").hidden = true;
  slider.parentElement.hidden = false;
  document.getElementById("steps").hidden = true;
  for (const link of document.querySelectorAll("a[data-slice]")) {
    link.addEventListener("click", (event) => { event.preventDefault(); go(Number(link.dataset.slice)); figure.focus(); });
  }
  fetchAround();
}
