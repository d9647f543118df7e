// Titles and texts, and when to draw what depends on the width.

const list = (names) =>
  names.length < 2 ? names.join("") : names.slice(0, -1).join(", ") + " and " + names[names.length - 1];

function drawTexts() {
  const names = list(page.banks.map((bank) => bank.name));
  const { accounts, edges } = page.measured;
  byId("kind").textContent = joint ? "Secure risk propagation · joint demonstration report" : "Secure risk propagation · a bank's own report";
  byId("title").textContent = joint ? `Tracing risk across ${page.banks.length} banks` : `What ${page.bank} learned`;
  document.title = joint ? "Risk propagation: joint report" : `Risk propagation: ${page.bank}'s own report`;
  byId("summary").textContent = joint
    ? `${names} traced risk through their common payment network under encryption.`
    : `${names} traced risk through their common payment network under encryption. This is ${page.bank}'s view.`;
  byId("notice").append(...(joint ? jointNotice() : ownNotice()));
  byId("network-hint").textContent =
    "The accounts whose scores rose most, with the senders that their risk " +
    (joint ? "came" : "may have come") +
    " from. Money flows from left to right. Point at an account, tab to it or tap it to see its bank and scores.";
  byId("costs-hint").textContent =
    "Each cell: the bank's wall time, processor time, and the bytes and messages that it sent. " +
    (joint ? "All banks shared this machine, so that the wall times hold waiting for each other." : "Wall times hold waiting for other banks.");
  byId("footer").textContent = `three-banks ${page.version}, run of ${page.began.replace("T", " ").replace("Z", " UTC")}. This page is one file and loads nothing.`;
  drawWarnings();
  drawTiles(accounts, edges);
  byId("limits").replaceChildren(...limits().map((text) => element("li", {}, text)));
}

/** What depends on the risk type. */
function drawHints() {
  const { accounts } = page.measured;
  byId("ranks-hint").textContent =
    `The ${view.first} highest scores among ${whole(accounts)} accounts` +
    (joint ? " of all banks" : ` of ${page.bank}`) +
    (view.ranks.length > view.first ? `, and ${view.ranks.length - view.first} more that climbed most. ` : ". ") +
    "Equal scores share a rank." +
    (page.withheld > 0 ? ` The scores of ${whole(page.withheld)} accounts are withheld; they have no rank.` : "");
  byId("movement-hint").textContent = joint
    ? "From a plain computation over the data of all banks, which this demonstration holds: in a real run nobody sees a " +
      "score between the first and the last. It ends within " +
      bound(view.movement.difference) +
      " of the scores that the encrypted run disclosed."
    : "";
}

const jointNotice = () => [
  element("strong", {}, "This page shows the data of all banks at once. "),
  "It exists because the demonstration runs every bank in one process, on data that it owns. In a real run nobody could " +
    "make it: each bank would see its own accounts' scores and nothing of the others'. Do not make it of real data.",
];

const ownNotice = () => [
  element("strong", {}, `This page holds what ${page.bank} knows, and nothing else: `),
  `its own accounts with their scores before and after, transfers to its own accounts, and its own times and traffic. ` +
    `Accounts of other banks appear where they paid ${page.bank}'s, by name only: their scores are not known here. ` +
    `It names customers of ${page.bank}, so treat it as ${page.bank}'s confidential data.`,
];

function limits() {
  const { threshold } = page.parameters;
  const between = [
    "How risk moved between the first and the last iteration is not on this page: where it depends on other banks, nobody sees it.",
  ];
  return [
    ...(joint ? [] : between),
    "During the run scores travel as Paillier ciphertexts under a key that no bank holds alone: " +
      `${threshold + 1} of ${page.parameters.banks} banks must work together to decrypt, and they decrypt each score for the account's own bank only.`,
    (threshold === 1 ? "One bank alone learns" : `Up to ${threshold} banks that pool what they saw learn`) +
      " of the others' scores no more than the results imply; docs/security.md of the project says exactly what.",
    "Protected against banks that follow the protocol and are curious. False transfers or scores as input are not noticed.",
    "A result tells something about its causes: an account with a single foreign sender tells that sender's score to whoever knows the weights.",
    "Both banks of a transfer know it anyway; how many accounts foreign money reaches can be seen by all.",
    "The programs have not been audited.",
  ];
}

function drawWarnings() {
  const { key_bits, insecure_seed } = page.parameters;
  const said = [];
  if (key_bits < 2048) said.push(`A key of ${whole(key_bits)} bits can be factored: this run protected nothing.`);
  if (insecure_seed) said.push("All secrets of this run came from a number on the command line: they can be computed.");
  byId("warnings").replaceChildren(...said.map((text) => element("li", {}, text)));
  byId("warnings").hidden = said.length === 0;
}

function drawTiles(accounts, edges) {
  const sent = sum(page.measured.phases, "bytes_sent");
  const tiles = [
    [joint ? "accounts" : "own accounts", number(accounts, whole(accounts)), "accounts"],
    [joint ? "payment links" : "payment links in", number(edges, whole(edges)), "edges"],
    ["key generation", number(wallOf(isKey), seconds(wallOf(isKey))), "keygen"],
    ["propagation", number(wallOf((name) => !isKey(name)), seconds(wallOf((name) => !isKey(name)))), "propagation"],
    [joint ? "sent by all banks" : `sent by ${page.bank}`, number(sent, bytes(sent)), "sent"],
  ];
  const difference = page.measured.largest_difference;
  tiles.push(
    difference === undefined
      ? ["error at most", number(page.parameters.error_bound, bound(page.parameters.error_bound)), "error"]
      : ["largest error", number(difference, bound(difference)), "difference"],
  );
  const tile = ([name, value, id]) => {
    value.id = "tile-" + id;
    return pair(name, value);
  };
  byId("tiles").replaceChildren(...tiles.map(tile));
}

function drawLegend() {
  const mark = (content, ...shapes) => element("span", {}, shape("svg", { width: 26, height: 26, viewBox: "0 0 26 26", "aria-hidden": "true" }, ...shapes), content);
  const circle = (r, more) => shape("circle", { cx: 13, cy: 13, r, fill: "none", stroke: "currentColor", "stroke-width": 2, ...more });
  const entries = page.banks.map((bank, place) => element("span", {}, dot(place), bank.name));
  entries.push(mark("score before", circle(9, {})), mark("score after", circle(9, { fill: "currentColor", stroke: "none" })));
  if (!joint) entries.push(mark("score not known here", circle(8, { "stroke-dasharray": "4 3" })));
  const line = (y, width) => shape("line", { x1: 1, x2: 25, y1: y, y2: y, stroke: "currentColor", "stroke-width": width, opacity: 0.7 });
  entries.push(mark("the wider, the larger a sender's share", line(6, 1.5), line(17, 6)));
  byId("network-legend").replaceChildren(...entries);
}

/** What depends on the width. */
function drawFigures() {
  drawNetwork();
  drawMovement();
}

function drawView() {
  drawHints();
  drawRanks();
  drawFigures();
}

/** Lets the reader choose among several risk types. */
function offerTypes() {
  const select = byId("type");
  select.replaceChildren(...page.views.map((each, place) => element("option", { value: place }, shorten(each.risk_type, 40))));
  // A browser may keep the choice of an earlier visit.
  select.value = "0";
  select.addEventListener("change", () => {
    view = page.views[Number(select.value)];
    network.chosen = 0;
    drawView();
  });
  byId("types").hidden = page.views.length < 2;
}

drawTexts();
drawLegend();
drawCosts();
drawParameters();
offerTypes();
drawView();

let drawnAt = document.documentElement.clientWidth;
window.addEventListener("resize", () => {
  const width = document.documentElement.clientWidth;
  // A phone's bars come and go without a change of the width.
  if (width === drawnAt) return;
  drawnAt = width;
  drawFigures();
});
