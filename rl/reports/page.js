"use strict";
// The recorded rollouts, one at a time. Everything shown is set as text, never as markup.
(function () {
  const all = JSON.parse(document.getElementById("rollouts").textContent);
  const box = document.getElementById("browser");
  if (!all.length) return;
  const find = (name) => document.getElementById("filter-" + name);
  const names = ["step", "difficulty", "mode", "outcome"];
  const values = {
    step: (r) => String(r.step), difficulty: (r) => r.difficulty, mode: (r) => r.mode, outcome: (r) => r.outcome,
  };
  let shown = all, at = 0;

  function element(tag, text, kind) {
    const made = document.createElement(tag);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  for (const name of names) {
    const found = [...new Set(all.map(values[name]))];
    found.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    for (const value of found) {
      const option = element("option", value);
      option.value = value;
      find(name).append(option);
    }
    find(name).addEventListener("change", choose);
  }

  function choose() {
    shown = all.filter((r) => names.every((name) => !find(name).value || values[name](r) === find(name).value));
    at = 0;
    draw();
  }

  function draw() {
    const place = document.getElementById("place");
    place.textContent = shown.length ? at + 1 + " of " + shown.length : "none";
    document.getElementById("previous").disabled = at <= 0;
    document.getElementById("next").disabled = at + 1 >= shown.length;
    box.replaceChildren();
    if (!shown.length) return;
    const r = shown[at];
    for (const badge of r.badges) box.append(element("span", badge, "badge"));
    for (const [part, text] of r.parts) {
      box.append(element("small", part));
      box.append(element("pre", text, part));
    }
  }

  function move(by) {
    at = Math.min(Math.max(at + by, 0), Math.max(shown.length - 1, 0));
    draw();
  }

  document.getElementById("previous").addEventListener("click", () => move(-1));
  document.getElementById("next").addEventListener("click", () => move(1));
  document.addEventListener("keydown", (event) => {
    if (event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowRight" || event.key === "j") move(1);
    if (event.key === "ArrowLeft" || event.key === "k") move(-1);
  });
  draw();
})();
