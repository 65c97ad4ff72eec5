// Two conveniences; the pages work without them. The live part of a page is asked for again every two seconds, and
// files are offered to the routes. Nothing is asked of another host.
"use strict";

const PAUSE = 2000;
const live = document.querySelector("[data-live]");
const fresh = document.getElementById("fresh");
let timer;

async function refresh() {
  const busy = live.contains(document.activeElement) && document.activeElement.matches("input, select, button");
  if (document.hidden || busy || String(getSelection())) return;
  const address = new URL(live.dataset.live || location.href, location.href);
  address.searchParams.set("fragment", "1");
  try {
    const answer = await fetch(address, { redirect: "error", headers: { "X-Requested-With": "fetch" } });
    if (answer.status === 401) {
      clearInterval(timer);
      if (live.dataset.live) location.assign(live.dataset.live);
      else location.reload();
      return;
    }
    if (!answer.ok) throw new Error(answer.status);
    const text = await answer.text();
    if (text !== live.lastText) replace(text);
    live.lastText = text;
    fresh.textContent = "As of " + new Date().toISOString().slice(11, 19) + ".";
  } catch {
    fresh.textContent = "The node does not answer; what you see may be old.";
  }
}

function replace(text) {
  const link = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const opened = [...live.querySelectorAll("details")].map((one) => one.open);
  live.innerHTML = text;
  live.querySelectorAll("details").forEach((one, at) => { one.open = Boolean(opened[at]); });
  if (link) live.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus();
}

if (live) {
  timer = setInterval(refresh, PAUSE);
  document.addEventListener("visibilitychange", refresh);
}

const trial = document.getElementById("trial");

async function tryRoutes(files) {
  const place = document.getElementById("verdicts");
  if (!files.length) return;
  place.textContent = `Trying ${files.length} files ...`;
  const boundary = "wetread-" + crypto.getRandomValues(new Uint32Array(4)).join("-");
  const parts = files.flatMap((file) => [`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`, file, "\r\n"]);
  const headers = { "Content-Type": `multipart/related; type="application/dicom"; boundary=${boundary}` };
  if (trial.dataset.csrf) headers["X-CSRF-Token"] = trial.dataset.csrf;
  try {
    const body = new Blob([...parts, `--${boundary}--\r\n`]);
    const answer = await fetch("/routes/try", { method: "POST", headers, body });
    if (answer.ok) place.innerHTML = await answer.text();
    else place.textContent = (await answer.json()).detail;
  } catch {
    place.textContent = "The node did not take the files: too many, or it does not answer.";
  }
}

async function readEntry(entry) {
  if (entry.isFile) return [await new Promise((found, failed) => entry.file(found, failed))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const some = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (!some.length) return files;
    for (const one of some) files.push(...await readEntry(one));
  }
}

if (trial) {
  trial.hidden = false;
  trial.addEventListener("change", (event) => tryRoutes([...event.target.files]));
  trial.addEventListener("dragover", (event) => { event.preventDefault(); trial.classList.add("over"); });
  trial.addEventListener("dragleave", () => trial.classList.remove("over"));
  trial.addEventListener("drop", async (event) => {
    event.preventDefault();
    trial.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    const files = [];
    for (const entry of entries) files.push(...await readEntry(entry));
    tryRoutes(files);
  });
}
