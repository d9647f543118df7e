// The page of `card-fraud web`. It shows what the local process tells it and holds no key.
"use strict";

const STEPS = ["key", "encrypt", "ask", "decrypt"];

const LABELS = {
  distance_from_home: ["distance from home", (value) => `${number(value)} km`],
  distance_from_last_transaction: ["from the last purchase", (value) => `${number(value)} km`],
  ratio_to_median_purchase_price: ["price, times the usual one", number],
  repeat_retailer: ["at a shop used before", yesOrNo],
  used_chip: ["with the card’s chip", yesOrNo],
  used_pin_number: ["with the PIN", yesOrNo],
  online_order: ["ordered online", yesOrNo],
};

const VERDICTS = {
  genuine: ["Genuine", "The bank’s tree takes this purchase for genuine. The bank does not know that it said so."],
  fraud: ["Looks like fraud", "The bank’s tree takes this purchase for fraud. The bank does not know that it said so."],
};

/// How often the bank is looked for while it does not answer, in milliseconds.
const LOOKING = 1500;

const byId = (id) => document.getElementById(id);
const section = (step) => byId(`step-${step}`);
const form = byId("purchase");
const buttons = { key: byId("make-key"), encrypt: byId("encrypt"), ask: byId("ask"), decrypt: byId("decrypt") };

/// Where the parts of an answer's end begin: there is only the third, as of a query.
const ALL_CIPHERTEXT = [-2, -1, 0];

/// The number of the encrypted purchase.
let purchase = null;
/// Where the parts of a query begin.
let queryParts = [0];
/// How many steps are taken.
let progress = 0;
/// What stops each step that is under way.
const underWay = new Map();
let looking = null;

// Talking to the local process

class Problem extends Error {
  constructor({ code, message, remedy, fields }) {
    super(message);
    Object.assign(this, { code, remedy, fields });
  }
}

async function call(path, body, signal) {
  const request = body === undefined ? { signal } : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  };
  let response, reply;
  try {
    response = await fetch(`api/${path}`, request);
    reply = await response.json();
    signal?.throwIfAborted();
  } catch {
    signal?.throwIfAborted();
    throw new Problem({
      code: "local-process",
      message: "The local process that serves this page does not answer. If it has ended, start it again with " +
        "`card-fraud web` and open the address that it prints.",
      remedy: "retry",
      fields: [],
    });
  }
  if (!response.ok) throw new Problem(reply.problem);
  return reply;
}

// The four steps

const run = {
  async key(signal) {
    const key = await call("key", {}, signal);
    stopWhatRestsOnPurchase();
    showKey(key);
    reached(1, `Key made: ${size("bits", key.bits)} in ${time(key.milliseconds)}.`);
  },

  async encrypt(signal) {
    clearFieldErrors();
    const reply = await call("encrypt", typed(), signal);
    purchase = reply.number;
    byId("plain").replaceChildren(...reply.plain.map(plainRow));
    fill("query-size", size("bytes", reply.bytes));
    fill("query-more", size("bytes", reply.bytes - reply.first.length / 2));
    fill("encrypt-time", time(reply.milliseconds));
    queryParts = reply.parts;
    byId("query-hex").replaceChildren(...hexGroups(reply.first, queryParts));
    byId("wire-query").textContent = size("bytes", reply.bytes);
    reached(2, `Encrypted into ${size("bytes", reply.bytes)} in ${time(reply.milliseconds)}. Nothing of it was sent yet.`);
  },

  async ask(signal) {
    const wires = document.querySelectorAll(".wire");
    wires.forEach((wire) => wire.classList.add("moving"));
    byId("status").textContent = "Waiting for the bank’s answer.";
    try {
      const reply = await call("ask", { number: purchase }, signal);
      showAnswer(reply);
      reached(3, `The bank answered with ${size("bytes", reply.answer_bytes)} after ${time(reply.milliseconds)}.`);
    } finally {
      wires.forEach((wire) => wire.classList.remove("moving"));
    }
  },

  async decrypt(signal) {
    const reply = await call("decrypt", { number: purchase }, signal);
    const [word, text] = VERDICTS[reply.verdict];
    byId("verdict").className = `verdict ${reply.verdict}`;
    byId("verdict-word").textContent = word;
    byId("verdict-text").textContent = text;
    fill("decrypt-time", time(reply.milliseconds));
    fill("total-time", time(reply.total_milliseconds));
    reached(4, `${word}. ${text}`);
  },
};

/// Takes a step unless it is under way; what goes wrong is shown where the step is.
async function take(step) {
  if (underWay.has(step)) return;
  const stop = new AbortController();
  underWay.set(step, stop);
  buttons[step].setAttribute("aria-busy", "true");
  try {
    await run[step](stop.signal);
    clearProblem(step);
  } catch (problem) {
    if (stop.signal.aborted) return;
    if (!(problem instanceof Problem)) throw problem;
    showProblem(step, problem);
  } finally {
    if (underWay.get(step) === stop) over(step);
  }
}

function over(step) {
  underWay.delete(step);
  buttons[step].removeAttribute("aria-busy");
}

/// Where key or form have changed, a reply to what was sent before would speak of another purchase.
function stopWhatRestsOnPurchase() {
  for (const step of ["encrypt", "ask", "decrypt"]) {
    underWay.get(step)?.abort();
    over(step);
  }
}

/// Notes that so many steps are taken, and takes back what came after them.
function reached(count, message) {
  progress = count;
  document.body.dataset.progress = count;
  STEPS.forEach((step, index) => {
    const place = section(step);
    place.classList.toggle("done", index < count);
    place.classList.toggle("open", index === count);
    place.querySelector(".result").hidden = index >= count;
    buttons[step].disabled = index > count;
    if (index >= count) clearProblem(step);
  });
  document.querySelectorAll("[data-from]").forEach((part) => {
    part.classList.toggle("on", count >= Number(part.dataset.from));
  });
  if (count < 2) byId("wire-query").textContent = "ciphertext";
  if (count < 3) byId("wire-answer").textContent = "ciphertext";
  if (message) byId("status").textContent = message;
}

// What is shown

function showKey(key) {
  fill("key-size", size("bits", key.bits));
  fill("key-time", time(key.milliseconds));
  buttons.key.textContent = "Make another key";
}

function showAnswer(reply) {
  fill("sent-size", size("bytes", reply.sent_bytes));
  fill("ask-time", time(reply.milliseconds));
  fill("answer-size", size("bytes", reply.answer_bytes));
  byId("answer-hex").replaceChildren(...hexGroups(reply.last, ALL_CIPHERTEXT));
  byId("wire-answer").textContent = size("bytes", reply.answer_bytes);
  const saw = reply.bank_saw;
  byId("saw-source").textContent = saw
    ? "In its own words, from its journal:"
    : "This bank keeps its journal to itself. It can have seen no more than this:";
  fill("saw-address", saw ? saw.address : "your address");
  fill("saw-clock", new Date(saw ? saw.unix_milliseconds : Date.now()).toLocaleTimeString("en-GB"));
  fill("saw-size", size("bytes", saw ? saw.bytes : reply.sent_bytes));
  fill("saw-time", saw ? time(saw.microseconds / 1000) : "it does not say");
  byId("saw-begins").hidden = !saw;
  byId("saw-hex").replaceChildren(...(saw ? hexGroups(saw.first, queryParts) : []));
}

function plainRow([name, value]) {
  const [label, words] = LABELS[name];
  const row = document.createElement("div");
  row.append(textElement("dt", label), textElement("dd", words(value)));
  return row;
}

/// Groups of four bytes, in the colour of the part of the message that they belong to.
function hexGroups(hex, parts) {
  return hex.match(/.{1,8}/g).map((bytes, index) => {
    const group = textElement("span", bytes.match(/../g).join(" "));
    group.className = `part-${parts.findLastIndex((start) => start <= 4 * index)}`;
    return group;
  });
}

function showProblem(step, problem) {
  if (problem.code === "key-expired") reached(0);
  const place = section(step).querySelector(".problem");
  place.classList.remove("over");
  place.replaceChildren(textElement("p", problem.message));
  // What the button says, what it does, and the step at which to go on.
  const remedies = {
    key: ["Make a new key", () => take("key"), "key"],
    encrypt: ["Encrypt again", () => take("encrypt"), "encrypt"],
    ask: ["Ask the bank", () => take("ask"), "ask"],
    retry: ["Try again", () => take(step), step],
    "start-bank": ["Start the bank’s server again", () => startBank(step), step],
  };
  const remedy = remedies[problem.remedy];
  if (remedy) {
    const [words, act, next] = remedy;
    const button = textElement("button", words);
    button.type = "button";
    button.addEventListener("click", async () => {
      await act();
      // The button goes away with the problem; whoever uses the keyboard goes on from the step.
      if (!place.contains(button)) buttons[next].focus();
    });
    place.append(button);
  }
  if (problem.code === "form") showFieldErrors(problem.fields);
  if (problem.code === "bank-away" && problem.remedy === "retry") lookForBank(step);
}

function clearProblem(step) {
  section(step).querySelector(".problem").replaceChildren();
}

async function startBank(step) {
  try {
    showProcesses(await call("bank", {}));
    if (!buttons[step].disabled) await take(step);
  } catch (problem) {
    showProblem(step, problem);
  }
}

/// Says so when a bank that was away answers again.
function lookForBank(step) {
  clearTimeout(looking);
  looking = setTimeout(async () => {
    const place = section(step).querySelector(".problem");
    const message = place.querySelector("p");
    if (!message || document.hidden) return message && lookForBank(step);
    const state = await call("bank").catch(() => null);
    if (!place.contains(message)) return;
    if (!state?.bank.answers) return lookForBank(step);
    place.classList.add("over");
    message.textContent = "The bank’s server answers again.";
  }, LOOKING);
}

function showFieldErrors(fields) {
  for (const { name, message } of fields) {
    const input = form.elements[name];
    input.setAttribute("aria-invalid", "true");
    input.closest(".field").classList.add("wrong");
    byId(`error-${name}`).textContent = message;
  }
  form.elements[fields[0]?.name]?.focus();
}

function clearFieldErrors() {
  form.querySelectorAll(".wrong").forEach((field) => {
    field.classList.remove("wrong");
    field.querySelector("input").removeAttribute("aria-invalid");
    field.querySelector(".error").textContent = "";
  });
}

function showProcesses({ bank, process }) {
  const own = bank.process === null ? "" : `, process ${bank.process}`;
  byId("processes").replaceChildren(
    "Your side: ", textElement("code", `process ${process}`),
    " on this machine. Bank’s side: ", textElement("code", `${bank.address}${own}`), ".",
  );
}

// The form

function typed() {
  const entries = Array.from(form.elements)
    .filter((input) => input.name)
    .map((input) => [input.name, input.type === "checkbox" ? input.checked : input.value]);
  return Object.fromEntries(entries);
}

function takePreset(values) {
  for (const [name, value] of Object.entries(values)) {
    const input = form.elements[name];
    if (input.type === "checkbox") input.checked = value;
    else input.value = value;
  }
  changed();
}

/// What was encrypted is no longer what stands in the form.
function changed() {
  stopWhatRestsOnPurchase();
  clearFieldErrors();
  clearProblem("encrypt");
  if (progress > 1) reached(1);
}

// Words and numbers

function fill(name, text) {
  document.querySelectorAll(`[data-fill="${name}"]`).forEach((place) => { place.textContent = text; });
}

function textElement(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function number(value) {
  return value.toLocaleString("en", { maximumFractionDigits: 4 });
}

function yesOrNo(value) {
  return value === 1 ? "yes" : "no";
}

function size(unit, count) {
  return `${count.toLocaleString("en")} ${unit}`;
}

function time(milliseconds) {
  return `${milliseconds.toLocaleString("en", { maximumSignificantDigits: milliseconds < 1 ? 2 : 3 })} ms`;
}

function span(seconds) {
  if (seconds % 60 !== 0) return `${seconds} seconds`;
  return seconds === 60 ? "a minute" : `${seconds / 60} minutes`;
}

// Start

buttons.key.addEventListener("click", () => take("key"));
buttons.ask.addEventListener("click", () => take("ask"));
buttons.decrypt.addEventListener("click", () => take("decrypt"));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (progress > 0) take("encrypt");
});
form.addEventListener("input", changed);
document.querySelectorAll("[data-purchase]").forEach((button) => {
  button.addEventListener("click", () => takePreset(JSON.parse(button.dataset.purchase)));
});
byId("another").addEventListener("click", () => {
  reached(1, "Ready for another purchase.");
  document.querySelector("[data-purchase]").focus();
});

reached(0);
call("state").then((state) => {
  showProcesses(state);
  fill("idle", span(state.idle_seconds));
  if (state.key) {
    showKey(state.key);
    reached(1);
  }
}).catch((problem) => showProblem("key", problem));
