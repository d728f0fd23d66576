// What an operator asks for: an explanation, or a purge.
import { byId, bytes, clock, duration, element } from "./words.js";

const LABELS = { tags: "Tags, apart by commas", project: "Key of the project", pattern: "Pattern of keys" };
const HINTS = { tags: "issue:PROJ-1, users", project: "PROJ", pattern: "issue:PROJ-*" };
const DOES = { serve: "A hit", fetch: "A miss", forward: "Passed on", refuse: "Refused" };

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the proxy cannot be reached");
  }
  if (answer.status === 401) throw new Error("the session is over: `jira-cache admin-link` prints a new link");
  const said = await answer.json().catch(() => ({ error: `the proxy answers ${answer.status}` }));
  if (!answer.ok) throw new Error(said.error);
  return said;
}

export const about = () => ask("/api/about");

function post(path, order) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order) });
}

export async function signOut() {
  await post("/sign-out", {});
  location.reload();
}

// explain

function list(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", {}, ...shown.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function causes(told) {
  const each = Object.entries(told.causes).map(([tag, cause]) => element("li", {}, element("code", {}, tag), ` – ${cause}`));
  return each.length ? element("details", {}, element("summary", {}, `${each.length} tags: what would make it old`), element("ul", {}, ...each)) : "nothing is kept of it";
}

function madeOldBy(entry) {
  if (entry.alive) return null;
  const by = entry.made_old_by;
  return by ? `${by.source} at ${clock(by.when)}, by ${by.tags.join(", ")}` : "a change that is no longer remembered here";
}

function entryLines(entry) {
  if (!entry) return [["Kept", "nothing"]];
  const left = entry.left > 0 ? `${duration(entry.left)} left` : `over since ${duration(-entry.left)}`;
  return [
    ["Age", `${duration(entry.age)}, stored at ${clock(Date.now() / 1000 - entry.age)}`],
    ["TTL", left],
    ["Answer", `status ${entry.status}, ${bytes(entry.bytes)} ${entry.coding}`],
    ["Made old by", madeOldBy(entry)],
  ];
}

function explained(told) {
  const now = told.now;
  const verdict = now ? `${DOES[now.does]}: ${now.why}. It would be ${now.meaning}.` : `${told.why}${told.meaning ? `: ${told.meaning}` : ""}.`;
  const keyLines = now ? [
    ["Key", element("code", {}, `${now.key.name}:${now.key.variant}`)],
    ["Query in it", now.key.query && element("code", {}, now.key.query)],
    ["Shared by", now.key.shared_by],
    ["Credential", now.accepted ? "accepted by Jira lately" : "not accepted by Jira within its lease"],
    ...entryLines(now.entry),
  ] : [];
  return [element("p", {}, verdict), list([
    ["Type", `${told.type}${told.entity === "-" ? "" : `, ${told.entity}`}`],
    ["By the rules", told.action === "cache" ? `may be kept${told.ttl === null ? "" : ` for ${duration(told.ttl)}`}, scope ${told.scope}` : told.why],
    ...keyLines,
    ["Would be old by", told.tags.length ? causes(told) : null],
    ["Makes old", told.invalidates.length ? element("code", {}, told.invalidates.join(", ")) : null],
    ["JQL", told.jql && (told.jql.valid ? `projects ${told.jql.projects?.join(", ") ?? "any"}; ${told.jql.unknown.length ? `cannot decide ${told.jql.unknown.join(", ")}` : "every clause is understood"}` : told.jql.error)],
  ])];
}

export function startExplain() {
  byId("explain").addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = new URLSearchParams({ method: byId("x-method").value, path: byId("x-path").value.trim(), caller: byId("x-caller").value });
    if (byId("tenant").value) query.set("tenant", byId("tenant").value);
    try {
      byId("x-told").replaceChildren(...explained(await ask(`/api/explain?${query}`)));
    } catch (error) {
      byId("x-told").replaceChildren(element("p", { class: "error" }, error.message));
    }
  });
}

/** Offer the callers that were seen lately, and keep the choice. */
export function offerCallers(callers) {
  const choice = byId("x-caller");
  const wanted = [...callers.map(([name]) => name), "anonymous"];
  if (document.activeElement === choice || [...choice.options].map((option) => option.value).join() === wanted.join()) return;
  const before = choice.dataset.chosen ? choice.value : wanted[0];
  choice.replaceChildren(...wanted.map((name) => element("option", { value: name }, name === "anonymous" ? "nobody in particular" : name)));
  choice.value = wanted.includes(before) ? before : wanted[0];
}

// purge

function order() {
  const kind = byId("p-kind").value;
  const text = byId("p-value").value.trim();
  const value = { all: true, type: byId("p-type").value, tags: text.split(",").map((tag) => tag.trim()).filter(Boolean) }[kind] ?? text;
  return { [kind]: value, tenant: byId("p-tenant").value };
}

function spelled({ tenant, ...what }) {
  const [[kind, value]] = Object.entries(what);
  if (kind === "all") return `everything of ${tenant}`;
  return `${kind} ${Array.isArray(value) ? value.join(", ") : value} of ${tenant}`;
}

function confirmed(what) {
  const dialog = byId("confirm");
  byId("confirm-what").textContent = `This makes old: ${what}. Jira will be asked again for it.`;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

function chooseKind() {
  const kind = byId("p-kind").value;
  byId("p-text").hidden = !(kind in LABELS);
  byId("p-types").hidden = kind !== "type";
  byId("p-value").required = kind in LABELS;
  byId("p-label").textContent = LABELS[kind] ?? "";
  byId("p-value").placeholder = HINTS[kind] ?? "";
}

export function startPurge({ tenants, types }) {
  const options = (names) => names.map((name) => element("option", { value: name }, name));
  byId("p-tenant").replaceChildren(...options(tenants));
  byId("p-tenant-choice").hidden = tenants.length < 2;
  byId("p-type").replaceChildren(...options(types));
  byId("p-kind").addEventListener("change", chooseKind);
  chooseKind();
  byId("purge").addEventListener("submit", async (event) => {
    event.preventDefault();
    const [told, wanted] = [byId("p-told"), order()];
    told.className = "";
    if (!(await confirmed(spelled(wanted)))) {
      told.textContent = "Nothing was purged.";
      return;
    }
    try {
      const done = await post("/api/purge", wanted);
      told.textContent = `Purged: ${spelled(wanted)}${done.forgotten === null ? "" : ` (${done.forgotten} answers)`}.`;
    } catch (error) {
      told.className = "error";
      told.textContent = error.message;
    }
  });
}
