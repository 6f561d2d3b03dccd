// The page at `/docs`, made from `/openapi.json`. Every word becomes a text node, never markup.

const methods = ["get", "post", "put", "patch", "delete"];
const element = (id) => document.getElementById(id);

function make(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function link(href, ...children) {
  const made = make("a", "", ...children);
  made.href = href;
  return made;
}

/** Prose: what stands between backticks is code. */
export function prose(text = "") {
  return text.split("`").map((part, index) => (index % 2 ? make("code", "", part) : part));
}

/** The part of a description that a reference names, and its name; the value itself where it is not a reference. */
export function follow(description, value) {
  const at = value?.$ref;
  if (typeof at !== "string" || !at.startsWith("#/")) return { value, name: null };
  const names = at.slice(2).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const found = names.reduce((part, name) => (part && Object.hasOwn(part, name) ? part[name] : undefined), description);
  return { value: found ?? {}, name: names.at(-1) };
}

/** What a schema says in one line. */
export function brief(schema = {}) {
  if (schema === true || Object.keys(schema).length === 0) return "any JSON";
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  const types = [schema.type ?? (schema.properties ? "object" : "")].flat().filter(Boolean);
  const bounds = [
    schema.format, schema.pattern, schema.minimum !== undefined && `≥ ${schema.minimum}`,
    schema.maximum !== undefined && `≤ ${schema.maximum}`, schema.default !== undefined && `default ${schema.default}`,
  ].filter(Boolean);
  return [types.join(" | "), ...bounds].filter(Boolean).join(", ");
}

/** A schema as a tree. References are links, so that the tree ends. */
function tree(description, schema) {
  const { name } = follow(description, schema);
  if (name) return make("span", "schema", link(`#schema-${name}`, name));
  const node = make("div", "schema", brief(schema));
  if (schema?.description) node.append(" ", make("span", "note", ...prose(schema.description)));
  const rows = [];
  const required = new Set(schema?.required ?? []);
  for (const [member, value] of Object.entries(schema?.properties ?? {})) {
    rows.push(make("li", "", make("code", "", member), required.has(member) ? " " : "? ", tree(description, value)));
  }
  if (schema?.items) rows.push(make("li", "", "of ", tree(description, schema.items)));
  for (const word of ["oneOf", "anyOf", "allOf"]) {
    for (const value of schema?.[word] ?? []) {
      rows.push(make("li", "", value.title ? `${value.title}: ` : "", tree(description, value)));
    }
  }
  if (schema?.contentSchema) rows.push(make("li", "", "JSON text of ", tree(description, schema.contentSchema)));
  if (rows.length) node.append(make("ul", "", ...rows));
  return node;
}

function content(description, types = {}) {
  return Object.entries(types).map(([type, media]) => {
    const made = make("div", "", make("code", "", type), " ");
    if (media.itemSchema) made.append("a stream of ", tree(description, media.itemSchema));
    else if (media.schema) made.append(tree(description, media.schema));
    return made;
  });
}

function table(rows) {
  return make("table", "", make("tbody", "", ...rows.map(([head, ...cells]) =>
    make("tr", "", make("th", "", head), make("td", "", ...cells)))));
}

function operation(description, path, method, one) {
  const made = make("article", "operation");
  made.id = one.operationId;
  made.dataset.words = `${method} ${path} ${one.summary} ${one.operationId}`.toLowerCase();
  made.append(make("h3", "", make("span", `method ${method}`, method.toUpperCase()), " ", path));
  made.append(make("p", "", ...prose(one.summary)));
  if (one.description) made.append(make("p", "note", ...prose(one.description)));
  if (one.parameters?.length) {
    made.append(make("h4", "", "Parameters"), table(one.parameters.map((each) => {
      const { value } = follow(description, each);
      const kind = make("span", "note", ` ${value.in}${value.required ? "" : ", optional"} `);
      return [value.name, kind, ...prose(value.description), " ", tree(description, value.schema)];
    })));
  }
  if (one.requestBody) {
    const { value } = follow(description, one.requestBody);
    made.append(make("h4", "", "Body"), ...prose(value.description), ...content(description, value.content));
  }
  made.append(make("h4", "", "Answers"), table(Object.entries(one.responses).map(([status, each]) => {
    const { value } = follow(description, each);
    return [status, ...prose(value.description), ...content(description, value.content)];
  })));
  return made;
}

function schema(description, name, value) {
  const made = make("article", "operation");
  made.id = `schema-${name}`;
  made.dataset.words = name.toLowerCase();
  made.append(make("h3", "", name));
  const codes = (value.oneOf ?? []).filter((one) => one.const !== undefined);
  if (codes.length) {
    made.append(make("p", "", ...prose(value.description)), table(codes.map((one) => [one.const, ...prose(one.description)])));
  } else {
    made.append(tree(description, value));
  }
  return made;
}

/** The sections of the page: operations by tag, in the order of the tags, then the schemas. */
export function sections(description) {
  const found = description.tags.map((tag) => ({ ...tag, operations: [] }));
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of methods) {
      if (!item[method]) continue;
      const place = found.find((section) => item[method].tags?.includes(section.name)) ?? found.at(-1);
      place.operations.push({ path, method, one: item[method] });
    }
  }
  return found.filter((section) => section.operations.length);
}

function show(description) {
  const contents = [];
  const body = [make("h1", "", `${description.info.title} API`), make("p", "", ...prose(description.info.description))];
  for (const { summary, name, description: said, operations } of sections(description)) {
    contents.push(make("h2", "", summary ?? name));
    const section = make("section", "", make("h2", "", summary ?? name), make("p", "note", ...prose(said)));
    for (const { path, method, one } of operations) {
      section.append(operation(description, path, method, one));
      const entry = link(`#${one.operationId}`, make("span", `method ${method}`, method.toUpperCase()), path);
      entry.dataset.words = `${method} ${path} ${one.summary}`.toLowerCase();
      contents.push(entry);
    }
    body.push(section);
  }
  const schemas = make("section", "", make("h2", "", "Schemas"));
  contents.push(make("h2", "", "Schemas"));
  for (const [name, value] of Object.entries(description.components.schemas)) {
    schemas.append(schema(description, name, value));
    const entry = link(`#schema-${name}`, name);
    entry.dataset.words = name.toLowerCase();
    contents.push(entry);
  }
  element("contents").replaceChildren(...contents);
  element("main").replaceChildren(...body, schemas);
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const node of document.querySelectorAll("[data-words]")) {
    node.hidden = !words.every((word) => node.dataset.words.includes(word));
  }
}

async function start() {
  try {
    const reply = await fetch("/openapi.json");
    if (!reply.ok) throw new Error(`/openapi.json: ${reply.status}`);
    show(await reply.json());
    // The address may name a part that was not there when the browser looked for it.
    if (location.hash) element(location.hash.slice(1))?.scrollIntoView();
  } catch (error) {
    element("state").textContent = `The description could not be loaded: ${error.message}`;
  }
  element("filter").addEventListener("input", (event) => filter(event.target.value));
}

if (globalThis.document) start();
