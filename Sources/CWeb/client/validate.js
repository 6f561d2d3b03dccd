// Checks what is about to be sent against a source's JSON Schema, with the verdicts of the gateway.
//
//   import { validatorOf } from "/client/validate.js";
//   const orders = await validatorOf(gateway, "orders");
//   const errors = orders.itemErrors({ id: 42, status: "?" });

import { escape, parse } from "./json.js";

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const entries = (object) => Object.entries(object ?? {});

const maxDepth = 512;
const maxSteps = 1_000_000;

// By what other schemas are held: one, or any number in a list or by name.
const holders = `additionalItems additionalProperties allOf anyOf contains contentSchema else if items not oneOf prefixItems
  propertyNames then unevaluatedItems unevaluatedProperties`.split(/\s+/);
const maps = ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"];
// Of version 2020-12 only.
const later = new Set(`$anchor $dynamicAnchor $dynamicRef dependentRequired dependentSchemas maxContains minContains prefixItems
  unevaluatedItems unevaluatedProperties`.split(/\s+/));

const known = /^https?:\/\/json-schema\.org\/(draft-07|draft\/2020-12)\/schema#?$/;

/** Equal values have equal texts. */
const canonical = (value) => JSON.stringify(value, (name, part) =>
  (isObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part));

/** A number as it is written: digits and an exponent of ten. */
function decimal(number) {
  const [mantissa, exponent = 0] = String(number).split("e");
  const [whole, part = ""] = mantissa.split(".");
  return [BigInt(whole + part), exponent - part.length];
}

function isMultiple(value, of) {
  const [[a, first], [b, second]] = [decimal(value), decimal(of)];
  const least = Math.min(first, second);
  return (a * 10n ** BigInt(first - least)) % (b * 10n ** BigInt(second - least)) === 0n;
}

const types = {
  null: (value) => value === null,
  boolean: (value) => typeof value === "boolean",
  string: (value) => typeof value === "string",
  number: (value) => typeof value === "number",
  integer: Number.isInteger,
  array: Array.isArray,
  object: isObject,
};

// Per type of value: keywords, whether they hold, and what is wrong where they do not.
const rules = [
  [() => true, {
    type: [(wanted, value) => [wanted].flat().some((name) => types[name]?.(value)), "is not of type"],
    enum: [(list, value) => list.some((one) => canonical(one) === canonical(value)), "is none of"],
    const: [(one, value) => canonical(one) === canonical(value), "is not"],
  }],
  [types.number, {
    multipleOf: [(of, value) => isMultiple(value, of), "is not a multiple of"],
    maximum: [(limit, value) => value <= limit, "is more than"],
    minimum: [(limit, value) => value >= limit, "is less than"],
    exclusiveMaximum: [(limit, value) => value < limit, "is not less than"],
    exclusiveMinimum: [(limit, value) => value > limit, "is not more than"],
  }],
  [types.string, {
    maxLength: [(limit, value) => [...value].length <= limit, "has more characters than"],
    minLength: [(limit, value) => [...value].length >= limit, "has fewer characters than"],
    pattern: [(pattern, value) => new RegExp(pattern, "u").test(value), "does not match"],
  }],
  [types.array, {
    maxItems: [(limit, value) => value.length <= limit, "has more elements than"],
    minItems: [(limit, value) => value.length >= limit, "has fewer elements than"],
    uniqueItems: [(is, value) => !is || new Set(value.map(canonical)).size === value.length, "has equal elements: uniqueItems"],
  }],
  [types.object, {
    maxProperties: [(limit, value) => Object.keys(value).length <= limit, "has more members than"],
    minProperties: [(limit, value) => Object.keys(value).length >= limit, "has fewer members than"],
    required: [(names, value) => names.every((name) => Object.hasOwn(value, name)), "lacks one of"],
  }],
];

class Validator {
  // By URI, and the other way round.
  #schemas = new Map();
  #bases = new Map();
  #steps = 0;

  constructor(schema, version) {
    const [, named] = known.exec(schema?.$schema ?? "") ?? [];
    this.isDraft7 = (named ?? version) === "draft-07";
    /** What in the schema this cannot check, as texts. Where there is something, nothing is called an error. */
    this.unsupported = schema?.$schema && !named ? [`$schema: ${schema.$schema}`] : [];
    this.root = schema;
    this.#add(schema, "https://schema.invalid/schema.json");
    // What a reference names may add more.
    for (const [one, base] of this.#bases) {
      for (const name of ["$ref", "$dynamicRef"]) {
        const reference = this.#in(one, name);
        if (reference === undefined || this.#find(reference, base) !== undefined) continue;
        this.unsupported.push(`${name}: ${reference}`);
      }
      for (const pattern of [...Object.keys(one.patternProperties ?? {}), one.pattern ?? ""]) {
        try {
          new RegExp(pattern, "u");
        } catch {
          this.unsupported.push(`pattern: ${pattern}`);
        }
      }
    }
  }

  #in(schema, name) { return this.isDraft7 && later.has(name) ? undefined : schema[name]; }

  /** Notes a schema and those in it, with the address that their references are relative to. */
  #add(schema, base) {
    if (!isObject(schema) || this.#bases.has(schema)) return;
    const { $id } = schema;
    const isBeside = this.isDraft7 && schema.$ref !== undefined;
    if (typeof $id === "string" && !isBeside) {
      const [address, name] = new URL($id, base).href.split("#");
      if (name) this.#schemas.set(`${address}#${name}`, schema);
      if (!$id.startsWith("#")) base = address;
    }
    if (!this.#schemas.has(base)) this.#schemas.set(base, schema);
    this.#bases.set(schema, base);
    for (const keyword of ["$anchor", "$dynamicAnchor"]) {
      const name = this.#in(schema, keyword);
      if (name !== undefined) this.#schemas.set(`${base}#${name}`, schema);
    }
    for (const name of holders) for (const one of [this.#in(schema, name)].flat()) this.#add(one, base);
    for (const name of maps) if (isObject(schema[name])) for (const [, one] of entries(schema[name])) this.#add(one, base);
  }

  #find(reference, base) {
    let [address, fragment = ""] = [];
    try {
      [address, fragment = ""] = new URL(reference, base).href.split("#");
      fragment = decodeURIComponent(fragment);
    } catch {
      return undefined;
    }
    if (fragment && !fragment.startsWith("/")) return this.#schemas.get(`${address}#${fragment}`);
    let found = this.#schemas.get(address);
    for (const token of parse(fragment)) {
      if (found === null || typeof found !== "object" || !Object.hasOwn(found, token)) return undefined;
      found = found[token];
    }
    this.#add(found, address);
    return found;
  }

  /** `{pointer, keyword, detail}` of each violation. */
  errors(value) {
    if (this.unsupported.length) return [];
    this.#steps = 0;
    return this.#check(this.root, value, "", []).errors;
  }

  #check(schema, value, pointer, scope, depth = 0) {
    const errors = [];
    const seen = new Set();
    const fail = (keyword, detail) => errors.push({ pointer, keyword, detail });
    if (schema === false) fail("", "is not allowed");
    else if (isObject(schema)) {
      if (depth > maxDepth || (this.#steps += 1) > maxSteps) fail("", "takes too long to check");
      else this.#apply(schema, value, pointer, scope, depth, { errors, seen, fail });
    }
    return { errors, seen: errors.length ? new Set() : seen, isValid: !errors.length };
  }

  #apply(schema, value, pointer, scope, depth, { errors, seen, fail }) {
    const base = this.#bases.get(schema);
    const inner = scope[scope.length - 1] === base ? scope : [...scope, base];
    const on = (one, part = value, at = pointer) => this.#check(one, part, at, inner, depth + 1);
    const take = (result) => {
      errors.push(...result.errors);
      for (const name of result.seen) seen.add(name);
    };
    const child = (one, name) => {
      seen.add(name);
      errors.push(...on(one, value[name], `${pointer}/${escape(String(name))}`).errors);
    };
    const of = (name) => this.#in(schema, name);
    if (schema.$ref !== undefined) take(on(this.#find(schema.$ref, base)));
    if (this.isDraft7 && schema.$ref !== undefined) return;
    if (of("$dynamicRef") !== undefined) take(on(this.#dynamic(schema.$dynamicRef, base, inner)));
    for (const [isOf, keywords] of rules) {
      if (!isOf(value)) continue;
      for (const [keyword, [holds, words]] of Object.entries(keywords)) {
        if (keyword in schema && !holds(schema[keyword], value)) fail(keyword, `${words} ${JSON.stringify(schema[keyword])}`);
      }
    }
    for (const one of schema.allOf ?? []) take(on(one));
    for (const keyword of ["anyOf", "oneOf"]) {
      if (!schema[keyword]) continue;
      const valid = schema[keyword].map((one) => on(one)).filter(({ isValid }) => isValid);
      valid.forEach(take);
      if (keyword === "anyOf" ? !valid.length : valid.length !== 1) fail(keyword, `fits ${valid.length} of ${keyword}`);
    }
    if (schema.not !== undefined && on(schema.not).isValid) fail("not", "is what it may not be");
    if (schema.if !== undefined) {
      const result = on(schema.if);
      if (result.isValid) take(result);
      take(on(result.isValid ? schema.then : schema.else));
    }
    if (isObject(value)) this.#members(schema, value, { of, on, take, child, fail });
    if (Array.isArray(value)) this.#elements(value, { of, on, seen, child, fail });
    const rest = Array.isArray(value) ? of("unevaluatedItems") : isObject(value) ? of("unevaluatedProperties") : undefined;
    const names = Array.isArray(value) ? value.keys() : Object.keys(value ?? {});
    if (rest !== undefined) for (const name of names) if (!seen.has(name)) child(rest, name);
  }

  #members(schema, value, { of, on, take, child, fail }) {
    const names = Object.keys(value);
    const patterns = entries(schema.patternProperties).map(([pattern, one]) => [new RegExp(pattern, "u"), one]);
    for (const name of names) {
      const fitting = patterns.filter(([pattern]) => pattern.test(name)).map(([, one]) => one);
      if (schema.properties && Object.hasOwn(schema.properties, name)) fitting.push(schema.properties[name]);
      if (!fitting.length && schema.additionalProperties !== undefined) fitting.push(schema.additionalProperties);
      for (const one of fitting) child(one, name);
      if (schema.propertyNames !== undefined) take({ ...on(schema.propertyNames, name), seen: [] });
    }
    for (const keyword of ["dependencies", "dependentRequired", "dependentSchemas"]) {
      for (const [name, one] of entries(of(keyword))) {
        if (!Object.hasOwn(value, name)) continue;
        if (!Array.isArray(one)) take(on(one));
        else if (!one.every((other) => Object.hasOwn(value, other))) fail(keyword, `has ${name}, and lacks one of ${one}`);
      }
    }
  }

  #elements(value, { of, on, seen, child, fail }) {
    const items = of("items");
    const first = of("prefixItems") ?? (Array.isArray(items) ? items : []);
    const rest = Array.isArray(items) ? of("additionalItems") : items;
    value.forEach((part, index) => {
      if (index < first.length) child(first[index], index);
      else if (rest !== undefined) child(rest, index);
    });
    if (of("contains") === undefined) return;
    const found = [...value.keys()].filter((index) => on(of("contains"), value[index]).isValid);
    for (const index of found) seen.add(index);
    const [least, most] = [of("minContains") ?? 1, of("maxContains") ?? Infinity];
    if (found.length < least || found.length > most) fail("contains", `has ${found.length} fitting elements`);
  }

  /** The outermost schema on the way here that has the anchor. */
  #dynamic(reference, base, scope) {
    const found = this.#find(reference, base);
    const name = reference.split("#")[1];
    if (!name || found?.$dynamicAnchor !== name) return found;
    const outer = scope.map((address) => this.#schemas.get(`${address}#${name}`)).find((one) => one?.$dynamicAnchor === name);
    return outer ?? found;
  }
}

/** A validator of a schema; `version` counts where it has no `$schema`: `draft/2020-12` or `draft-07`. */
export const validator = (schema, version = "draft/2020-12") => new Validator(schema, version);

/** The validator of a source of a connection; `itemErrors` checks one item, as a write of it would be. */
export async function validatorOf(gateway, name) {
  const get = async (path) => {
    const { options: { credentials } } = gateway;
    const response = await gateway.fetch(`${gateway.url}/v1/sources/${encodeURIComponent(name)}${path}`, {
      headers: await gateway.credential(), credentials,
    });
    if (!response.ok) throw new Error(`${name}${path}: status ${response.status}`);
    return response.json();
  };
  const made = validator(await get("/schema"));
  const { collection } = await get("");
  made.itemErrors = (item) => {
    const path = `${collection.items}/0`;
    // A value in which this is the only item. What is wrong elsewhere in it is not what is written.
    const alone = collection.key == null ? { 0: item } : [item];
    const value = parse(collection.items).reduceRight((part, token) => ({ [token]: part }), alone);
    return made.errors(value).filter(({ pointer }) => pointer === path || pointer.startsWith(`${path}/`))
      .map((error) => ({ ...error, pointer: error.pointer.slice(path.length) }));
  };
  return made;
}
