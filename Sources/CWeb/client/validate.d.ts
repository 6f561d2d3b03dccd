// Types of validate.js.

import type { Gateway } from "./freshet.js";

export interface Violation {
  /** Where in the value, as a JSON Pointer. */
  pointer: string;
  /** The keyword of the schema. */
  keyword: string;
  /** What is wrong, for people. */
  detail: string;
}

export interface Validator {
  errors(value: unknown): Violation[];
  /** What in the schema is not supported. Where there is something, nothing is called an error: the gateway decides. */
  readonly unsupported: string[];
}

/** `version` counts where the schema has no `$schema`; the default is `draft/2020-12`. */
export function validator(schema: object | boolean, version?: "draft/2020-12" | "draft-07"): Validator;

/** The validator of a source. `itemErrors` checks one item of it, with pointers that begin in the item. */
export function validatorOf(gateway: Gateway, source: string): Promise<Validator & { itemErrors(item: unknown): Violation[] }>;
