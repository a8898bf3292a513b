// Judges documents by a schema of others with ajv. stdin: {"schema": file, "documents": [...]}; stdout: the faults of each.
const fs = require("fs");
const path = require("path");

const [folder] = process.argv.slice(2);
const load = (name) => require(path.join(folder, "node_modules", name));
const Ajv = load("ajv").default;
const addFormats = load("ajv-formats").default;

const { schema, documents } = JSON.parse(fs.readFileSync(0, "utf8"));
const rules = load(schema);
const ajv = new Ajv({ strict: false });
addFormats(ajv);
ajv.addMetaSchema(load("ajv/dist/refs/json-schema-draft-06.json"));

let judging = () => (judging.whole ??= ajv.compile(rules));
if (rules.id === "http://hl7.org/fhir/json-schema/4.0") {
  // HL7's schema has one definition per type of resource: asked by type, a fault is named. A resource within another may be of
  // a type that is among the documents: that is stricter, and compiles in a fraction of the time.
  const inside = JSON.stringify(documents).match(/(?<="resourceType":")[A-Za-z]+/g);
  const oneOf = [...new Set(inside)].map((kind) => ({ $ref: `#/definitions/${kind}` }));
  ajv.addSchema({ $id: "fhir", definitions: { ...rules.definitions, ResourceList: { oneOf } } });
  judging = (document) => ajv.getSchema(`fhir#/definitions/${document.resourceType}`);
}

console.log(
  JSON.stringify(
    documents.map((one) => {
      const validate = judging(one);
      return validate(one) ? [] : validate.errors;
    }),
  ),
);
