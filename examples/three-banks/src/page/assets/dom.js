"use strict";

// The data, and small things that all parts use. Whatever comes from the data goes onto the page as text.

const page = JSON.parse(document.getElementById("data").textContent);
const joint = page.bank === undefined;
/** What is shown: one risk type of the run. */
let view = page.views[0];

const byId = (id) => document.getElementById(id);

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined));
  return node;
}
/** An element of HTML: its attributes, then children or text. */
const element = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
/** An element of SVG. */
const shape = (tag, attributes = {}, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** A number as people read it, with the number itself for programs. */
const number = (value, text) => element("data", { value, class: "number" }, text);

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const whole = (value) => grouped.format(value);
const score = (value, digits = 4) => value.toFixed(digits);
const percent = (share) => (share > 0 && share < 0.001 ? "under 0.1 %" : (share * 100).toFixed(1) + " %");
function seconds(value) {
  if (value < 0.9995) return Math.round(value * 1000) + " ms";
  if (value < 99.95) return value.toFixed(2) + " s";
  return whole(Math.floor(Math.round(value) / 60)) + " min " + (Math.round(value) % 60) + " s";
}
function bytes(value) {
  if (value < 1000) return value + " B";
  if (value < 999500) return (value / 1000).toFixed(value < 9950 ? 1 : 0) + " kB";
  if (value < 999500000) return (value / 1e6).toFixed(value < 9950000 ? 2 : 1) + " MB";
  return (value / 1e9).toFixed(2) + " GB";
}
/** A bound, such as 2.4e-7, rounded up in its last digit. */
function bound(value) {
  if (value === 0) return "0";
  const exponent = Math.floor(Math.log10(value));
  return (Math.ceil((value / 10 ** exponent) * 10) / 10).toFixed(1) + " · 10" + superscript(exponent);
}
const superscript = (n) => String(n).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"["0123456789".indexOf(c)] ?? "⁻");

const bankName = (bank) => page.banks[bank]?.name ?? "";
const fullName = (account) => bankName(account.bank) + "/" + account.id;
/** A name that fits: of what is too long, start and end, as names often differ in their last letters. */
function shorten(text, length) {
  const letters = [...text];
  if (letters.length <= length) return text;
  const tail = Math.floor((length - 1) / 2);
  return letters.slice(0, length - 1 - tail).join("") + "…" + letters.slice(-tail).join("");
}
/** Gives a node the colour of a bank; the style makes of it what can be seen on light and on dark. */
function tint(node, bank) {
  node.style.setProperty("--bank", page.banks[bank]?.colour ?? "#888888");
  node.classList.add("tinted");
  return node;
}
/** A round spot of the bank's colour, to stand beside its name. */
const dot = (bank) => tint(element("span", { class: "dot" }), bank);
/** A bar of the bank's colour, as long as its part of the whole. */
function bar(bank, part) {
  const node = tint(element("span", { class: "bar" }), bank);
  node.style.width = Math.max(0.8, part * 100) + "%";
  return node;
}
/** A bank's account in a table or a heading. */
const who = (bank, name) => element("span", { class: "who", title: name }, dot(bank), shorten(name, 44));
/** A row of a list of names and values. */
const pair = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));
