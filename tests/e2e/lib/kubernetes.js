// Holds documents against the models that Kubernetes' own client for JavaScript is generated with, from
// Kubernetes' OpenAPI description: unknown fields, missing ones and wrong types are errors.
//
//   node kubernetes.js NODE_MODULES < documents.json     an array; an array of arrays of errors comes back
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");

const MODELS = path.join(process.argv[2], "@kubernetes/client-node/dist/gen/models");
// A scalar's types by the client's name for them.
const SCALARS = {
  string: ["string"], Date: ["string"], V1MicroTime: ["string"], number: ["number"],
  boolean: ["boolean"], IntOrString: ["number", "string"],
};
// What the client calls a string is a quantity where its model says so only in words.
const QUANTITY = /^[+-]?[0-9.]+([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$/;

async function model(name) {
  const file = path.join(MODELS, `${name}.js`);
  if (!fs.existsSync(file)) return null;
  return (await import(pathToFileURL(file)))[name];
}

// `'name'?: type` is optional in the model's declaration, `'name': type` is not.
function required(name) {
  const text = fs.readFileSync(path.join(MODELS, `${name}.d.ts`), "utf8");
  return [...text.matchAll(/^ {4}'([^']+)': /gm)].map((found) => found[1]);
}

// V1Deployment for apps/v1 Deployment: versions are part of names, groups are not.
async function kind_of(document) {
  const version = String(document.apiVersion).split("/").pop();
  return `${version[0].toUpperCase()}${version.slice(1)}${document.kind}`;
}

function check_scalar(type, value, where, errors) {
  if (!SCALARS[type].includes(typeof value)) {
    errors.push(`${where}: ${JSON.stringify(value)} is no ${type}`);
  }
}

async function check(type, value, where, errors) {
  const list = type.match(/^Array<(.*)>$/);
  const map = type.match(/^\{ \[key: string\]: (.*); \}$/);
  if (type === "any") return;
  if (type in SCALARS) return check_scalar(type, value, where, errors);
  if (list) {
    if (!Array.isArray(value)) return errors.push(`${where}: not a list`);
    for (const [i, each] of value.entries()) await check(list[1], each, `${where}[${i}]`, errors);
    return;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    return errors.push(`${where}: not a mapping`);
  }
  if (map) {
    for (const [key, each] of Object.entries(value)) await check(map[1], each, `${where}.${key}`, errors);
    return;
  }
  await check_object(type, value, where, errors);
}

async function check_object(type, value, where, errors) {
  const known = await model(type);
  if (!known) return errors.push(`${where}: there is no model ${type}`);
  const fields = new Map(known.getAttributeTypeMap().map((field) => [field.baseName, field]));
  const names = new Map([...fields.values()].map((field) => [field.name, field.baseName]));
  for (const name of required(type)) {
    const base = names.get(name) ?? name;
    if (!(base in value)) errors.push(`${where}: ${base} is missing`);
  }
  for (const [key, each] of Object.entries(value)) {
    const field = fields.get(key);
    if (!field) errors.push(`${where}: unknown field ${key}`);
    else await check(field.type, each, `${where}.${key}`, errors);
  }
  if (type === "V1ResourceRequirements") check_quantities(value, where, errors);
}

function check_quantities(resources, where, errors) {
  for (const [kind, amounts] of Object.entries(resources)) {
    for (const [name, amount] of Object.entries(amounts)) {
      if (!QUANTITY.test(amount)) errors.push(`${where}.${kind}.${name}: ${amount} is no quantity`);
    }
  }
}

async function main() {
  const out = [];
  for (const { type, value } of JSON.parse(fs.readFileSync(0, "utf8"))) {
    const errors = [];
    const name = type ?? (await kind_of(value));
    await check_object(name, value, value.kind ?? name, errors);
    out.push(errors);
  }
  process.stdout.write(JSON.stringify(out));
}

main();
