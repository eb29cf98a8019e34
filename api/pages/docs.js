// Draws /openapi.json: routes by tag, with parameters, body, answers and every error. Loads nothing from elsewhere.
// Text from the document only ever becomes text nodes, never markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** An element: tag, attributes, children (nodes or text; null is left out). */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Text in which `code` and **strong** are marked, as one line of nodes. */
function inline(text) {
  return (text || "").split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`")) return make("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return make("strong", {}, part.slice(2, -2));
    return part;
  });
}

const paragraphs = (text) => (text || "").split(/\n\s*\n/).filter(Boolean).map((part) => make("p", {}, inline(part)));

class Api {
  constructor(document) {
    this.document = document;
  }

  /** The schema behind a reference. */
  resolve(schema) {
    if (!schema || !schema.$ref) return schema || {};
    return schema.$ref.slice(2).split("/").reduce((found, key) => found[key], this.document);
  }

  /** A schema as a few words. */
  type(schema) {
    const found = this.resolve(schema);
    const choices = found.anyOf || found.oneOf;
    if (choices) {
      const names = choices.filter((choice) => choice.type !== "null").map((choice) => this.type(choice));
      return [...new Set(names)].join(" or ");
    }
    if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(", ");
    if (found.const !== undefined) return JSON.stringify(found.const);
    if (found.type === "array") return `list of ${this.type(found.items || {})}`;
    if (found.type === "object" && found.additionalProperties) return "object";
    return (found.format ? `${found.type} (${found.format})` : found.type) || "any";
  }

  /** The object a schema is, or is a list of, or may be; null for plain values. */
  objectIn(schema) {
    const found = this.resolve(schema);
    if (found.properties) return found;
    if (found.items) return this.objectIn(found.items);
    for (const choice of found.anyOf || found.oneOf || []) {
      const object = this.objectIn(choice);
      if (object) return object;
    }
    return null;
  }

  /** Rows of a table for the fields of an object, those of objects in it below them. */
  rows(schema, prefix = "", depth = 0) {
    const object = this.objectIn(schema);
    if (!object || depth > 3) return [];
    return Object.entries(object.properties).flatMap(([name, field]) => {
      const needed = (object.required || []).includes(name);
      const described = field.description || this.resolve(field).description;
      const list = this.resolve(field).type === "array" || (field.anyOf || []).some((choice) => choice.type === "array");
      const inner = this.objectIn(field);
      const row = make(
        "tr", {},
        make("td", depth ? { class: "deep" } : {}, make("code", {}, prefix + name)),
        make("td", {}, this.type(field), needed ? [" ", make("span", { class: "need" }, "needed")] : null),
        make("td", {}, inner && !field.description ? "" : inline(described), this.bounds(field)),
      );
      return [row, ...(inner ? this.rows(field, `${prefix}${name}${list ? "[]" : ""}.`, depth + 1) : [])];
    });
  }

  bounds(field) {
    if (field.default === undefined || field.default === null) return null;
    return [" Default ", make("code", {}, JSON.stringify(field.default)), "."];
  }

  fields(title, schema) {
    const rows = this.rows(schema);
    if (!rows.length) return null;
    return [make("h4", {}, title), table(["Field", "Type", "Meaning"], rows)];
  }

  parameters(operation) {
    const rows = (operation.parameters || []).map((parameter) =>
      make(
        "tr", {},
        make("td", {}, make("code", {}, parameter.name)),
        make("td", {}, `${this.type(parameter.schema)}, in ${parameter.in}`,
          parameter.required ? [" ", make("span", { class: "need" }, "needed")] : null),
        make("td", {}, inline(parameter.description), this.bounds(parameter.schema || {})),
      ));
    return rows.length ? [make("h4", {}, "Parameters"), table(["Name", "Type", "Meaning"], rows)] : null;
  }

  body(operation) {
    const media = operation.requestBody && operation.requestBody.content["application/json"];
    if (!media) return null;
    const many = this.resolve(media.schema).type === "array";
    return this.fields(many ? `Body: a list of up to ${media.schema.maxItems}` : "Body", media.schema);
  }

  answers(operation) {
    const good = Object.entries(operation.responses).filter(([status]) => Number(status) < 400);
    return good.map(([status, answer]) => {
      const media = (answer.content || {})["application/json"];
      const rows = media && this.fields(`Answer ${status}`, media.schema);
      return rows || [make("h4", {}, `Answer ${status}`), make("p", {}, inline(answer.description))];
    });
  }

  errors(operation) {
    const rows = Object.entries(operation.responses).flatMap(([status, answer]) => {
      if (Number(status) < 400) return [];
      const examples = Object.entries(((answer.content || {})["application/json"] || {}).examples || {});
      return examples.map(([name, example]) =>
        make("tr", {}, make("td", {}, status), make("td", {}, make("code", {}, name)), make("td", {}, inline(example.summary))));
    });
    if (!rows.length) return null;
    return make("details", {}, make("summary", {}, `${rows.length} errors it can answer`), table(["Status", "Name", "When"], rows));
  }

  headers(operation) {
    const found = {};
    for (const answer of Object.values(operation.responses)) Object.assign(found, answer.headers || {});
    const rows = Object.entries(found).map(([name, header]) =>
      make("tr", {}, make("td", {}, make("code", {}, name)), make("td", {}, inline(header.description))));
    if (!rows.length) return null;
    return make("details", {}, make("summary", {}, "Headers of the answers"), table(["Name", "Meaning"], rows));
  }

  article(path, method, operation) {
    return make(
      "article", { id: anchor(method, path) },
      make("h3", {}, operation.summary || path),
      make("div", { class: "route" }, make("span", { class: `method ${method}` }, method), make("code", {}, path)),
      paragraphs(operation.description),
      this.parameters(operation), this.body(operation), this.answers(operation), this.errors(operation), this.headers(operation),
    );
  }
}

const anchor = (method, path) => `${method}${path}`.replace(/[^A-Za-z0-9]+/g, "-").replace(/-$/, "");

function table(heads, rows) {
  const head = make("tr", {}, heads.map((text) => make("th", { scope: "col" }, text)));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, rows)));
}

/** [tag, [[path, method, operation], …]] in the order of the document's tags. */
function byTag(document) {
  const groups = new Map((document.tags || []).map((tag) => [tag.name, []]));
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const method of METHODS.filter((name) => operations[name])) {
      const tag = (operations[method].tags || ["Other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([path, method, operations[method]]);
    }
  }
  return [...groups].filter(([, routes]) => routes.length);
}

function draw(description, contents, openapi) {
  const api = new Api(openapi);
  const about = new Map((openapi.tags || []).map((tag) => [tag.name, tag.description]));
  const main = [make("h1", {}, `${openapi.info.title} API`), make("p", { class: "soft" }, `Version ${openapi.info.version}`)];
  const links = [make("a", { href: "/" }, "Postlane")];
  main.push(...paragraphs(openapi.info.description));
  for (const [tag, routes] of byTag(openapi)) {
    main.push(make("h2", { id: anchor("", tag) }, tag), ...paragraphs(about.get(tag)));
    main.push(...routes.map(([path, method, operation]) => api.article(path, method, operation)));
    links.push(make("h2", {}, tag), make("ul", {}, routes.map(([path, method, operation]) =>
      make("li", {}, make("a", { href: `#${anchor(method, path)}` }, operation.summary || `${method} ${path}`)))));
  }
  contents.replaceChildren(...links);
  description.replaceChildren(...main);
  description.removeAttribute("aria-busy");
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

async function start() {
  const curl = document.getElementById("curl");
  if (curl) {
    curl.textContent = `curl ${location.origin}/emails \\\n  -H "Authorization: Bearer $POSTLANE_API_KEY" \\\n` +
      `  -d '{"from": "Acme <hello@your.domain>", "to": "you@example.com",\n       "subject": "Hello", "text": "It works."}'`;
    return;
  }
  const description = document.getElementById("description");
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    draw(description, document.getElementById("contents"), await answer.json());
  } catch (error) {
    description.replaceChildren(make("p", { role: "alert" }, `The description could not be read: ${error.message}. Load the page again.`));
  }
}

start();
