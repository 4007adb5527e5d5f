"use strict";
// Values from the network only ever become text nodes and form values, never markup.

const $ = (id) => document.getElementById(id);
const about = JSON.parse($("about").textContent);
// Below any prefix, with or without the slash at its end.
const base = location.pathname.replace(/\/?$/, "/");
const keySlot = `key of ${base}`;
const trips = [];
let asked = 0;

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// ---- The form, out of the request's JSON schema

function plain(schema) {
  if (schema.$ref) return plain({ ...about.request.$defs[schema.$ref.split("/").pop()], ...schema, $ref: undefined });
  if (!schema.anyOf) return schema;
  const choice = schema.anyOf.find((one) => one.type !== "null");
  const nullable = schema.anyOf.some((one) => one.type === "null");
  return plain({ ...choice, ...schema, anyOf: undefined, nullable });
}

function choices(schema, required) {
  const labels = schema["x-labels"];
  const parse = (text) => (schema.type === "string" ? text : JSON.parse(text));
  const values =
    schema.enum ?? ("const" in schema ? [schema.const] : schema.type === "boolean" ? [true, false] : Object.keys(labels).map(parse));
  const options = values.map((value) => make("option", { value: JSON.stringify(value) }, shown(value, schema)));
  if (!required) options.unshift(make("option", { value: "" }, "not given"));
  return make("select", {}, ...options);
}

/** A field: its control, how to fill it in, and how to read it (undefined: nothing was entered). */
function control(schema, required) {
  const text = (properties, write, read) => {
    const input = make("input", properties);
    return { input, fill: (value) => input.setAttribute("value", write(value)), read: () => (input.value === "" ? undefined : read(input.value)) };
  };
  const chosen = schema.enum || "const" in schema || schema["x-labels"];
  if (chosen || (schema.type === "boolean" && !required)) {
    const input = choices(schema, required);
    const fill = (value) => {
      for (const option of input.options) option.toggleAttribute("selected", option.value === JSON.stringify(value));
    };
    return { input, fill, read: () => (input.value === "" ? undefined : JSON.parse(input.value)) };
  }
  if (schema.type === "boolean") {
    const input = make("input", { type: "checkbox" });
    return { input, fill: (value) => input.toggleAttribute("checked", value), read: () => input.checked };
  }
  if (schema.type === "integer" || schema.type === "number") {
    const whole = schema.type === "integer";
    const properties = { type: "number", step: schema.multipleOf ?? (whole ? 1 : "any"), inputMode: whole ? "numeric" : "decimal" };
    const min = schema.minimum ?? schema.exclusiveMinimum;
    const max = schema.maximum ?? schema.exclusiveMaximum;
    if (min !== undefined) properties.min = min;
    if (max !== undefined) properties.max = max;
    return text(properties, String, Number);
  }
  if (schema.type !== "string") return text({ type: "text", placeholder: "JSON" }, JSON.stringify, JSON.parse);
  if (schema.format === "date-time-local")
    return text({ type: "datetime-local", step: 1 }, (value) => value.slice(0, 19), (value) => (value.length === 16 ? `${value}:00` : value));
  if (schema.format === "date-time") {
    const local = (time) => new Date(time - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
    return text({ type: "datetime-local", step: 1 }, (value) => local(new Date(value)), (value) => new Date(value).toISOString());
  }
  return text({ type: schema.format === "date" ? "date" : "text" }, String, String);
}

function field([name, declared]) {
  const schema = plain(declared);
  const required = (about.request.required ?? []).includes(name);
  const id = `field-${name}`;
  // A checkbox always has a value, so one with a default needs no third state.
  const { input, fill, read } = control(schema, required || (!schema.nullable && schema.default !== undefined));
  const example = about.example[name] ?? (name in about.example ? null : schema.default);
  if (example !== undefined && example !== null) fill(example);
  const help = make("p", { className: "help", id: `${id}-help` }, schema.description ?? "");
  const error = make("p", { className: "error", id: `${id}-error`, hidden: true });
  Object.assign(input, { id, name });
  input.setAttribute("aria-describedby", `${help.id} ${error.id}`);
  if (required) input.setAttribute("aria-required", "true");
  const label = make("label", { htmlFor: id }, name);
  if (!required) label.append(make("span", { className: "tag" }, "optional"));
  const box = make("div", { className: `field ${input.type}` }, label, input, error, help);
  const complain = (message) => {
    error.textContent = message ?? "";
    error.hidden = !message;
    if (message) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  return { name, schema, input, box, read, complain };
}

const fields = Object.entries(about.request.properties).map(field);

/** The request as the form has it, an empty optional field as null; and what is wrong with fields that hold no value. */
function request() {
  const body = {};
  const wrong = new Map();
  for (const one of fields) {
    try {
      if (one.input.validity.badInput) throw new Error(one.input.type === "number" ? "This is not a number." : "This is not a whole date and time.");
      const value = one.read();
      if (value !== undefined) body[one.name] = value;
      else if (one.schema.nullable) body[one.name] = null;
    } catch (error) {
      wrong.set(one, error.message);
    }
  }
  return { body, wrong };
}

// ---- Asking the endpoint

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  const key = sessionStorage.getItem(keySlot);
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(base + path, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await response.text();
  let content = null;
  try {
    content = JSON.parse(text);
  } catch {
    // A proxy's page, for one; the status says enough.
  }
  return { status: response.status, ok: response.ok && content !== null, content, version: response.headers.get("Model-Version") };
}

function refusal({ status, content }) {
  return content?.detail || content?.title || `The endpoint answered with status ${status}.`;
}

async function predict() {
  const { body, wrong } = request();
  say(null);
  for (const one of fields) one.complain(wrong.get(one));
  if (wrong.size) return [...wrong.keys()][0].input.focus();
  const mine = ++asked;
  $("predict").setAttribute("aria-busy", "true");
  try {
    const begun = performance.now();
    const answer = await post("predict", body);
    const milliseconds = performance.now() - begun;
    if (mine !== asked) return;
    if (!answer.ok) return refuse(answer);
    trips.push(milliseconds);
    showAnswer(answer, milliseconds);
    showTrips();
    const reasons = await post("explain", body);
    if (mine === asked) showReasons(reasons);
  } catch (error) {
    if (mine === asked) say(`The endpoint could not be asked: ${error.message}.`);
  } finally {
    if (mine === asked) $("predict").removeAttribute("aria-busy");
  }
}

function refuse(answer) {
  $("outcome").classList.add("stale");
  if (answer.status === 401) {
    const refused = sessionStorage.getItem(keySlot);
    $("access").hidden = false;
    $("key").focus();
    return say(refused ? "The endpoint refused this API key." : "The endpoint asks for an API key: enter it above.");
  }
  let first = null;
  const left = [];
  for (const { field: path, message } of answer.content?.errors ?? []) {
    const found = fields.find(({ name }) => name === path || String(path).startsWith(`${name}.`));
    if (!found) left.push(path ? `${path}: ${message}` : message);
    found?.complain(message);
    first ??= found;
  }
  first?.input.focus();
  say([refusal(answer), ...left].join(" "));
}

function say(message) {
  $("alert").textContent = message ?? "";
  $("alert").hidden = !message;
}

// ---- What came back

const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const duration = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

function shown(value, schema = {}) {
  const label = schema["x-labels"]?.[value];
  if (label !== undefined) return `${label} (${value})`;
  if (value === null || value === undefined) return "not given";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : number.format(value);
  if (typeof value === "object") return JSON.stringify(value);
  return schema.format?.startsWith("date-time") ? value.replace("T", " ") : value;
}

function showAnswer({ content, version }, milliseconds) {
  const { model_version: answered = version, ...answer } = content;
  $("answer").replaceChildren(
    ...Object.entries(answer).map(([name, value]) => {
      const declared = about.response.properties?.[name] ?? {};
      const term = make("dt", {}, declared.description ?? name);
      if (declared.description) term.append(" ", make("code", {}, name));
      return make("div", {}, term, make("dd", { title: String(value) }, shown(value, declared)));
    }),
  );
  $("answered").textContent = `Version ${answered}, ${duration.format(milliseconds)} ms there and back`;
  for (const id of ["answer", "answered", "latency"]) $(id).hidden = false;
  $("nothing").hidden = true;
  $("why").hidden = true;
  $("outcome").classList.remove("stale");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  $("outcome").scrollIntoView({ block: "nearest", behavior: still ? "instant" : "smooth" });
}

function showReasons(reasons) {
  if (reasons.status === 404) return;
  $("why").hidden = false;
  $("effects").replaceChildren();
  if (!reasons.ok) {
    $("why-about").textContent = `There is no explanation. ${refusal(reasons)}`;
    return;
  }
  const { effects, typical_prediction: typical } = reasons.content;
  const [unit = "the answer"] = Object.entries(about.response.properties ?? {}).find(([, one]) => one.type === "number") ?? [];
  const usually = typical === null ? "" : ` A typical answer is ${number.format(typical)}.`;
  $("why-about").replaceChildren(
    "How far each field alone moves ", make("code", {}, unit), ` from where that field's typical value would put it.${usually} Effects don't add up.`,
  );
  const sizes = effects.map(({ effect }) => effect);
  $("effects").append(...effects.map((one) => effectRow(one, Math.min(0, ...sizes), Math.max(0, ...sizes))));
}

function effectRow({ field: name, value, typical, effect }, lowest, highest) {
  const { schema } = fields.find((one) => one.name === name) ?? {};
  const same = JSON.stringify(value) === JSON.stringify(typical);
  const instead = same ? `${shown(value, schema)}, which is typical` : `${shown(value, schema)}; typically ${shown(typical, schema)}`;
  const range = highest - lowest || 1;
  const bar = make("span", { className: effect < 0 ? "bar lower" : "bar higher" });
  bar.style.left = `${(100 * (Math.min(effect, 0) - lowest)) / range}%`;
  bar.style.width = `${(100 * Math.abs(effect)) / range}%`;
  const zero = make("span", { className: "zero" });
  zero.style.left = `${(100 * -lowest) / range}%`;
  // As many decimals in each row as show three digits of the largest.
  const largest = Math.max(highest, -lowest) || 1;
  const decimals = Math.min(20, Math.max(0, 2 - Math.floor(Math.log10(largest))));
  const format = { minimumFractionDigits: decimals, maximumFractionDigits: decimals, signDisplay: "exceptZero" };
  const text = effect === 0 ? "0" : effect.toLocaleString("en", format).replace("-", "\u2212");
  return make(
    "li",
    {},
    make("span", { className: "what" }, make("span", { className: "which" }, name), make("span", { className: "instead" }, instead)),
    make("span", { className: "track", "aria-hidden": "true" }, zero, bar),
    make("span", { className: "effect", title: String(effect) }, text),
  );
}

function showTrips() {
  trips.splice(0, trips.length - 50);
  const sorted = [...trips].sort((a, b) => a - b);
  const at = (share) => sorted[Math.ceil(share * sorted.length) - 1];
  const bars = trips.map((milliseconds, index) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = Math.max(1, (32 * milliseconds) / at(1));
    const place = { x: 4 * index, y: 32 - height, width: 3, height };
    for (const [name, value] of Object.entries(place)) bar.setAttribute(name, value);
    return bar;
  });
  $("spark").replaceChildren(...bars);
  const many = trips.length === 1 ? "The last one" : `The last ${trips.length}`;
  $("trips").textContent = `${many}, from this browser: median ${duration.format(at(0.5))} ms, 95th percentile ${duration.format(at(0.95))} ms`;
}

// ---- The same in a terminal

function showCommand() {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const lines = [`curl ${quoted(location.origin + base + "predict")}`, "-H 'Content-Type: application/json'"];
  // Of the key only the place: a command is written into the shell's history.
  if (sessionStorage.getItem(keySlot)) lines.push('-H "Authorization: Bearer $API_KEY"');
  $("curl").textContent = [...lines, `-d ${quoted(JSON.stringify(request().body))}`].join(" \\\n  ");
}

function copy() {
  getSelection().selectAllChildren($("curl"));
  // navigator.clipboard would need TLS.
  $("copy").textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
}

// ---- Put together

$("name").textContent = about.name;
$("version").textContent = about.version;
$("request-about").textContent = about.request.description ?? "";
$("fields").append(...fields.map(({ box }) => box));
for (const link of document.querySelectorAll("a")) link.href = base + link.getAttribute("href");
$("key").value = sessionStorage.getItem(keySlot) ?? "";
$("access").hidden = !$("key").value;

$("request").addEventListener("submit", (event) => {
  event.preventDefault();
  predict();
});
$("request").addEventListener("input", () => {
  $("outcome").classList.add("stale");
  showCommand();
});
$("request").addEventListener("reset", () => {
  say(null);
  for (const { complain } of fields) complain(null);
  setTimeout(showCommand);
});
$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = $("key").value.trim();
  if (key) sessionStorage.setItem(keySlot, key);
  else sessionStorage.removeItem(keySlot);
  showCommand();
  predict();
});
$("copy").addEventListener("click", copy);
showCommand();
