// The page: it listens to /api/events, and shows what it hears.
import { Charts } from "./charts.js";
import { about, offerCallers, signOut, startExplain, startPurge } from "./forms.js";
import { byId, bytes, clock, count, duration, element, fill, percent, rate, seconds, show } from "./words.js";

const KEPT_CHANGES = 100;
const SPOKEN_EVERY = 20_000; // ms: changes come in dozens, and a screen reader reads each announcement to its end
const STATES = {
  ok: ["ok", "good"], doubted: ["back, not yet believed", "warn"], open: ["left alone after a failure", "warn"],
  owing: ["has a change yet to note", "bad"],
};

const seen = { columns: [], rows: [], step: 5, changes: [], unspoken: 0 };
let charts = null;
let stream = null;

// what is heard

function listen() {
  stream?.close();
  stream = new EventSource(`/api/events?${new URLSearchParams({ tenant: byId("tenant").value })}`);
  stream.addEventListener("open", () => linked(true, "live"));
  stream.addEventListener("error", () => lost());
  stream.addEventListener("history", (event) => hearHistory(JSON.parse(event.data)));
  stream.addEventListener("report", (event) => hearReport(JSON.parse(event.data)));
  stream.addEventListener("change", (event) => hearChange(JSON.parse(event.data)));
}

function linked(live, text) {
  byId("link").classList.toggle("live", live);
  if (byId("link").textContent !== text) byId("link").textContent = text;
}

async function lost() {
  linked(false, "connection lost, trying again");
  if (stream.readyState !== EventSource.CLOSED) return;
  // A stream that was refused is not tried again by the browser.
  try {
    await about();
    setTimeout(listen, 3000);
  } catch (error) {
    linked(false, error.message);
    if (!error.message.startsWith("the session is over")) setTimeout(listen, 3000);
  }
}

function hearHistory({ columns, step, rows, changes }) {
  Object.assign(seen, { columns, step, rows, changes: changes.slice(-KEPT_CHANGES).reverse() });
  charts ??= new Charts(columns);
  showChanges();
}

function hearReport(report) {
  const last = seen.rows.at(-1);
  if (last && last[0] >= report.row[0]) seen.rows.pop();
  if (!seen.rows.length || seen.rows.at(-1)[0] < report.row[0]) seen.rows.push(report.row);
  while (seen.rows.length > 3600 / seen.step) seen.rows.shift();
  if (document.hidden) return;
  draw();
  showGlance(report);
  showTables(report);
  offerCallers(report.hour.callers);
}

function hearChange(change) {
  seen.changes.unshift(change);
  seen.changes.length = Math.min(seen.changes.length, KEPT_CHANGES);
  seen.unspoken += 1;
  showChanges();
}

// what is shown

function draw() {
  const since = (seen.rows.at(-1)?.[0] ?? 0) - Number(byId("span").value);
  charts?.draw(seen.rows.filter((row) => row[0] > since));
}

function ratio({ hit = 0, miss = 0 }) {
  return hit + miss ? hit / (hit + miss) : null;
}

function showGlance({ row, hour, gauges }) {
  const of = (column) => row[seen.columns.indexOf(column)];
  show("t-rate", rate(of("hit") + of("miss") + of("passed") + of("write") + of("refused")));
  show("t-ratio", percent(ratio(hour.outcomes)));
  show("t-hit", seconds(hour.latency.hit.p50));
  show("t-hit-99", `slowest 1 %: ${seconds(hour.latency.hit.p99)}`);
  show("t-miss", seconds(hour.latency.miss.p50));
  show("t-miss-99", `slowest 1 %: ${seconds(hour.latency.miss.p99)}`);
  show("t-calls", count(hour.upstream.calls));
  show("t-calls-cost", `last hour; ${duration(hour.upstream.seconds)}, ${count(hour.upstream.points)} points`);
  show("t-saved", count(hour.saved.calls), hour.saved.calls ? "good" : "");
  show("t-saved-cost", `last hour; about ${duration(hour.saved.seconds)}, ${count(hour.saved.points)} points`);
  show("t-entries", count(gauges.entries));
  show("t-bytes", gauges.room ? `${bytes(gauges.bytes)} of ${bytes(gauges.room)}` : "all in Redis");
  const [state, mood] = STATES[gauges.state] ?? [gauges.state, "warn"];
  show("t-store", state, mood);
  show("t-store-note", gauges.redis ? `Redis uses ${bytes(gauges.redis.used_memory)}` : "in memory");
  showJira(gauges.limits);
  showWebhooks(gauges.channels);
}

function showJira(limits) {
  const told = Object.values(limits);
  const strained = told.find((each) => each.state !== "ok");
  show("t-jira", told.length ? strained?.state ?? "ok" : "–", told.length ? (strained ? "warn" : "good") : "");
  show("t-jira-note", told.length ? `${told.reduce((sum, each) => sum + each.in_flight, 0)} calls under way, ${told.reduce((sum, each) => sum + each.queued, 0)} wait` : "");
}

function showWebhooks(channels) {
  const told = Object.values(channels);
  const polled = told.filter((each) => each.poll !== "off");
  const bad = polled.filter((each) => !each.healthy).length;
  const last = told.map((each) => each.last_webhook).filter(Boolean).sort().at(-1);
  show("t-hooks", polled.length ? (bad ? "unproven" : "healthy") : last ? "heard" : "none yet", polled.length ? (bad ? "warn" : "good") : "");
  show("t-hooks-note", last ? `last at ${clock(Date.parse(last) / 1000)}` : "");
}

function showTables({ hour, gauges }) {
  const types = new Map(Object.entries(hour.types));
  for (const name of Object.keys(gauges.types)) if (!types.has(name)) types.set(name, {});
  const rows = [...types].map(([name, whys]) => {
    const counted = Object.entries(whys);
    const sum = (wanted) => counted.reduce((total, [why, number]) => total + (wanted(why) ? number : 0), 0);
    const outcomes = { hit: sum((why) => seen.outcomes[why] === "hit"), miss: sum((why) => seen.outcomes[why] === "miss") };
    return [name, sum(() => true), outcomes.hit, percent(ratio(outcomes)), gauges.types[name] ?? 0];
  });
  rows.sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0]));
  fill(byId("types"), rows.map(([name, all, hits, share, kept]) => [name, count(all), count(hits), share, count(kept)]), [1, 2, 3, 4]);
  fill(byId("routes"), hour.routes.map(([route, number]) => [element("code", {}, route), count(number)]), [1]);
  fill(byId("callers"), hour.callers.map(([caller, number]) => [element("code", {}, caller), count(number)]), [1]);
  fill(byId("state"), [...storeLines(gauges), ...jiraLines(hour, gauges), ...hookLines(gauges)]);
}

function storeLines(gauges) {
  const lines = [["processes", count(gauges.processes)], ["state", STATES[gauges.state]?.[0] ?? gauges.state], ["had to make room in memory", `${count(gauges.evictions)} answers`]];
  if (gauges.redis) {
    const { used_memory: used, maxmemory: most, maxmemory_policy: policy, evicted_keys: evicted, redis_version: version } = gauges.redis;
    lines.push(["Redis", version], ["Redis memory", `${bytes(used)}${most ? ` of ${bytes(most)}` : ", no bound"}`], ["when it is full", policy], ["Redis evicted", `${count(evicted)} keys`]);
  }
  return lines.map(([what, is]) => ["store", what, is]);
}

function named(what, tenant) {
  return element("span", {}, what, element("span", { class: "which" }, ` (${tenant})`));
}

function flat(told, under = "") {
  return Object.entries(told).flatMap(([name, value]) => {
    const label = `${under}${name.replaceAll("_", " ")}`;
    if (value !== null && typeof value === "object") return flat(value, `${label} `);
    return [[label, value === null ? "–" : typeof value === "boolean" ? (value ? "yes" : "no") : String(value)]];
  });
}

function jiraLines(hour, gauges) {
  const statuses = Object.entries(hour.upstream.by_status).map(([status, number]) => [`answers ${status}, last hour`, count(number)]);
  const limits = Object.entries(gauges.limits).flatMap(([tenant, told]) => flat(told).map(([what, is]) => [named(what, tenant), is]));
  return [...statuses, ...limits].map(([what, is]) => ["Jira", what, is]);
}

function hookLines(gauges) {
  return Object.entries(gauges.channels).flatMap(([tenant, told]) => flat(told).map(([what, is]) => ["webhooks", named(what, tenant), is]));
}

function showChanges() {
  fill(byId("changes"), seen.changes.map((change) => [
    clock(change.when), change.source, element("span", { class: "which" }, change.tenant),
    element("span", { class: "tags" }, `${change.tags.join(", ")}${change.more ? ` and ${count(change.more)} more` : ""}`),
  ]));
  byId("changes-note").textContent = seen.changes.length ? `The newest first, at most ${KEPT_CHANGES}.` : "None in the last hour.";
}

function speak() {
  if (!seen.unspoken) return;
  byId("news").textContent = `${seen.unspoken} new ${seen.unspoken === 1 ? "change" : "changes"}, the last by ${seen.changes[0].source}.`;
  seen.unspoken = 0;
}

// the controls

function chooseTheme() {
  const theme = byId("theme").value;
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // then it holds until the page is left
  }
  charts?.paint();
}

async function start() {
  byId("theme").value = document.documentElement.dataset.theme;
  byId("theme").addEventListener("change", chooseTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts?.paint());
  byId("span").addEventListener("change", draw);
  byId("tenant").addEventListener("change", listen);
  byId("x-caller").addEventListener("change", () => { byId("x-caller").dataset.chosen = "yes"; });
  byId("sign-out").addEventListener("click", signOut);
  const told = await about();
  seen.outcomes = told.outcomes;
  byId("version").textContent = told.version;
  byId("sign-out").hidden = !told.signed_in;
  byId("tenant").replaceChildren(element("option", { value: "" }, "all"), ...told.tenants.map((name) => element("option", { value: name }, name)));
  byId("tenant-choice").hidden = told.tenants.length < 2;
  document.body.dataset.tenants = told.tenants.length < 2 ? "one" : "several";
  startExplain();
  startPurge(told);
  setInterval(speak, SPOKEN_EVERY);
  listen();
}

start().catch((error) => linked(false, error.message));
