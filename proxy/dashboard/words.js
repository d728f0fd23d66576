// Numbers, times and elements, as people read them. Nothing here knows what is shown.

export const byId = (id) => document.getElementById(id);

/** Make an element with text, or with other elements inside. Text is never read as HTML. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function count(value) {
  return value >= 1e6 ? `${(value / 1e6).toFixed(1)} M` : Math.round(value).toLocaleString("en");
}

export function rate(value) {
  return value >= 100 ? count(value) : value.toFixed(value >= 10 ? 1 : 2);
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  return duration(value);
}

export function duration(value) {
  if (value < 0) return `${duration(-value)} ago`;
  if (value < 120) return `${value.toFixed(value < 10 ? 1 : 0)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return `${(value / 3600).toFixed(1)} h`;
}

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) { value /= 1024; at += 1; }
  return `${value.toFixed(at && value < 100 ? 1 : 0)} ${units[at]}`;
}

export const percent = (share) => (share === null ? "–" : `${(share * 100).toFixed(1)} %`);

export const clock = (unix) => new Date(unix * 1000).toLocaleTimeString("en-GB");

/** Put rows into a table's body: arrays of texts or elements, of which the first names the row. */
export function fill(table, rows, numeric = []) {
  const body = table.tBodies[0];
  body.replaceChildren(...rows.map((cells) => element("tr", {}, ...cells.map((cell, at) =>
    element(at ? "td" : "th", { ...(at ? {} : { scope: "row" }), ...(numeric.includes(at) ? { class: "n" } : cell.classList?.contains("which") ? { class: "which" } : {}) }, cell)))));
  if (!rows.length) {
    const columns = table.tHead.rows[0].cells.length;
    body.append(element("tr", {}, element("td", { colspan: columns, class: "hint" }, "nothing yet")));
  }
}

/** Show a text in an element, and how good that is. */
export function show(id, text, mood = "") {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
  if (!place.classList.contains("note")) place.className = mood;
}
