// Renders openapi.json. All text goes in as text, never as markup.
"use strict";

let document_ = null;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** The schema that `$ref` names, and its name. */
function resolved(schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? [document_.components.schemas[name] ?? {}, name] : [schema ?? {}, null];
}

/** `string or null`, `array of Step`. */
function typeName(schema) {
  const [inner, name] = resolved(schema);
  if (name) return name;
  const choices = inner.oneOf ?? inner.anyOf;
  if (choices) return choices.map(typeName).join(" or ");
  if (inner.enum && inner.enum.length <= 8) return inner.enum.join(", ");
  const types = [].concat(inner.type ?? "any");
  return types.map((type) => (type === "array" ? `array of ${typeName(inner.items)}` : type)).join(" or ");
}

/** A table of an object's properties; those of nested objects fold out. */
function properties(schema, seen = []) {
  const [outer, name] = resolved(schema);
  if (outer.type === "array" || outer.items) return properties(outer.items, seen);
  const parts = outer.allOf ?? [outer];
  const rows = parts.flatMap((part) => {
    const [inner] = resolved(part);
    return Object.entries(inner.properties ?? {}).map(([key, value]) => {
      const required = (inner.required ?? []).includes(key);
      const about = value.description ?? resolved(value)[0].description ?? "";
      return element("tr", {}, element("td", required ? { class: "required" } : {}, key), element("td", {}, typeName(value)), element("td", {}, about, nested(value, [...seen, name])));
    });
  });
  return rows.length ? element("table", {}, ...rows) : null;
}

function nested(schema, seen) {
  const candidates = [schema, schema.items, ...(schema.oneOf ?? [])].filter(Boolean);
  const name = candidates.map((candidate) => resolved(candidate)[1]).find(Boolean);
  if (!name || seen.includes(name)) return null;
  const table = properties({ $ref: `#/components/schemas/${name}` }, seen);
  return table && element("details", {}, element("summary", {}, name), table);
}

/** A body to begin with: the required fields. */
function example(schema) {
  const [inner] = resolved(schema);
  const known = { tracking_id: "shop", date_range: "last_7_days", metrics: ["pageviews", "unique_users"], sql: "SELECT 1 AS one" };
  const wanted = inner.required ?? ["tracking_id", "date_range", "metrics"];
  return JSON.stringify(Object.fromEntries(wanted.map((key) => [key, known[key] ?? ""])), null, 2);
}

function bodySchema(operation) {
  return operation.requestBody?.content?.["application/json"]?.schema ?? null;
}

function section(path, method, operation, id) {
  const inputs = new Map();
  const parameters = (operation.parameters ?? []).map((parameter) => {
    const input = element("input", { "aria-label": parameter.name, placeholder: parameter.schema?.default ?? "" });
    inputs.set(parameter, input);
    const required = parameter.required ? { class: "required" } : {};
    return element("tr", {}, element("td", required, parameter.name), element("td", {}, `${parameter.in}: ${typeName(parameter.schema)}`), element("td", {}, parameter.description ?? "", input));
  });
  const schema = bodySchema(operation);
  const body = schema && element("textarea", { "aria-label": "body", spellcheck: "false" });
  if (body) body.value = example(schema);
  const output = element("pre", { hidden: "" });
  const button = element("button", { type: "button" }, "Send");
  button.addEventListener("click", () => send(path, method, inputs, body, output));
  const responses = Object.entries(operation.responses ?? {}).map(([status, response]) => {
    const kinds = Object.entries(response.content ?? {});
    const table = kinds.length && kinds[0][1].schema ? properties(kinds[0][1].schema) : null;
    const names = kinds.map(([kind]) => kind).join(", ");
    return element("details", {}, element("summary", {}, `${status}: ${response.description ?? ""} `, element("small", {}, names)), table);
  });
  return element(
    "section", { id },
    element("h3", {}, element("span", { class: "method" }, method.toUpperCase()), path),
    element("p", {}, [operation.summary, operation.description].filter(Boolean).map((text) => text.replace(/\.?$/, ".")).join(" ")),
    parameters.length ? element("h4", {}, "Parameters") : null,
    parameters.length ? element("table", {}, ...parameters) : null,
    schema ? element("h4", {}, "Body") : null,
    schema ? properties(schema) : null,
    element("h4", {}, "Replies"),
    ...responses,
    element("h4", {}, "Try it"),
    body, button, output,
  );
}

async function send(path, method, inputs, body, output) {
  const query = new URLSearchParams();
  let address = path;
  for (const [parameter, input] of inputs) {
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value) query.set(parameter.name, input.value);
  }
  const token = document.getElementById("token").value.trim();
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  output.hidden = false;
  output.textContent = "…";
  try {
    // Of a stream, what comes in the first seconds.
    const signal = AbortSignal.timeout(15_000);
    const reply = await fetch(address + (query.size ? `?${query}` : ""), { method: method.toUpperCase(), headers, body: body?.value, signal });
    const kind = reply.headers.get("content-type") ?? "";
    const text = /json|text/.test(kind) ? await firstPart(reply) : `${(await reply.arrayBuffer()).byteLength} bytes of ${kind}`;
    output.textContent = `${reply.status} ${reply.statusText}\n${indented(text)}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

const MOST = 200_000;

async function firstPart(reply) {
  const reader = reply.body?.getReader();
  const decoder = new TextDecoder();
  const stream = (reply.headers.get("content-type") ?? "").startsWith("text/event-stream");
  let text = "";
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
    if (text.length > MOST || (stream && text.includes("\n\n"))) {
      await reader.cancel();
      text += "\n…";
      break;
    }
  }
  return text;
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function show() {
  const reply = await fetch("openapi.json");
  document_ = await reply.json();
  document.getElementById("about").textContent = document_.info.description ?? "";
  const groups = new Map((document_.tags ?? []).map((tag) => [tag.name, []]));
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] ?? "other";
      groups.set(tag, [...(groups.get(tag) ?? []), [path, method, operation]]);
    }
  }
  const contents = document.getElementById("contents");
  const main = document.getElementById("endpoints");
  for (const [tag, operations] of groups) {
    contents.append(element("h2", {}, tag));
    for (const [path, method, operation] of operations) {
      const id = `${method}${path.replace(/[^a-z0-9]+/gi, "-")}`;
      contents.append(element("a", { href: `#${id}` }, `${method.toUpperCase()} ${path.replace("/api/v1", "")}`));
      main.append(section(path, method, operation, id));
    }
  }
  document.body.dataset.ready = "yes";
}

show().catch((error) => {
  document.getElementById("endpoints").textContent = `The document can't be shown: ${error}`;
});
