// The network around the accounts that rose most: money flows from left to right.

const network = { chosen: 0, svg: undefined, nodes: [] };

/** Where the pointer was last, in the window. */
const pointer = { x: undefined, y: undefined };
document.addEventListener("mousemove", (event) => Object.assign(pointer, { x: event.clientX, y: event.clientY }));

function drawNetwork() {
  const figure = byId("network");
  if (view.nodes.length === 0) {
    figure.replaceChildren(element("p", {}, "No account's score rose."));
    byId("detail").hidden = true;
    return;
  }
  byId("detail").hidden = false;
  const width = Math.max(280, figure.clientWidth);
  const plan = placeNodes(width, width < 640);
  network.svg = shape("svg", {
    viewBox: `0 0 ${width} ${plan.height}`,
    role: "group",
    "aria-label": "Accounts and the transfers through which risk came; tab through them for their scores",
  });
  for (const edge of view.edges) network.svg.append(...drawEdge(edge, plan));
  network.nodes = view.nodes.map((node, index) => drawNode(node, index, plan));
  // From left to right and from top to bottom, as one reads, is the order of the tab key.
  const order = view.nodes.map((_, index) => index);
  order.sort((a, b) => view.nodes[a].layer - view.nodes[b].layer || view.nodes[a].row - view.nodes[b].row);
  network.svg.append(...order.map((index) => network.nodes[index]));
  figure.replaceChildren(network.svg);
  choose(network.chosen, false);
}

function placeNodes(width, narrow) {
  const layers = 1 + Math.max(...view.nodes.map((node) => node.layer));
  const rows = Array.from({ length: layers }, (_, layer) => view.nodes.filter((node) => node.layer === layer).length);
  const side = narrow ? 30 : 112;
  const height = Math.max(narrow ? 300 : 400, Math.max(...rows) * (narrow ? 58 : 66)) + 24;
  const at = view.nodes.map((node) => ({
    x: layers === 1 ? width / 2 : side + ((width - 2 * side) * node.layer) / (layers - 1),
    y: 6 + (height - 24) * ((node.row + 0.5) / rows[node.layer]),
  }));
  return { width, height, layers, narrow, at, radius: narrow ? 13 : 20 };
}

const accountOf = (node) => view.accounts[node.account];
const radiusOf = (value, plan) => plan.radius * Math.sqrt(Math.min(1, Math.max(0, value)));
/** Half the width of what is drawn for an account. */
function reach(account, plan) {
  if (!account.score) return plan.radius * 0.55;
  return Math.max(plan.narrow ? 3 : 4, radiusOf(Math.max(account.score.before, account.score.after), plan));
}

function drawEdge(edge, plan) {
  const [from, to] = [plan.at[edge.from], plan.at[edge.to]];
  const bank = accountOf(view.nodes[edge.from]).bank;
  const stroke = (plan.narrow ? 1.2 : 1.6) + (plan.narrow ? 4 : 7) * edge.share;
  const head = { long: 5 + stroke, half: 2.5 + stroke / 2 };
  const tip = to.x - reach(accountOf(view.nodes[edge.to]), plan) - 2;
  const start = tip - head.long;
  const bend = (start - from.x) / 2;
  const ends = { "data-from": edge.from, "data-to": edge.to };
  const curve = `M${from.x},${from.y} C${from.x + bend},${from.y} ${start - bend},${to.y} ${start + 0.5},${to.y}`;
  const arrow = `${tip},${to.y} ${start},${to.y - head.half} ${start},${to.y + head.half}`;
  return [
    tint(shape("path", { class: "edge", d: curve, "stroke-width": stroke, ...ends }), bank),
    tint(shape("polygon", { class: "head", points: arrow, ...ends }), bank),
  ];
}

function drawNode(node, index, plan) {
  const account = accountOf(node);
  const { x, y } = plan.at[index];
  const half = reach(account, plan);
  const circle = (r, name) => shape("circle", { cx: x, cy: y, r, class: name });
  const group = shape("g", { class: "node", tabindex: 0, role: "button", "aria-label": inWords(account) });
  group.append(circle(half + 5, "mark"));
  if (account.score) {
    group.append(circle(half + 1, "under"));
    const filled = Math.max(plan.narrow ? 3 : 4, radiusOf(account.score.after, plan));
    group.append(tint(circle(filled, "filled"), account.bank));
    if (account.score.before > 0) group.append(circle(radiusOf(account.score.before, plan), "ring"));
  } else {
    group.append(tint(circle(half, "unknown"), account.bank));
    group.append(shape("text", { x, y: y + 4.5, "text-anchor": "middle", class: "strong" }, "?"));
  }
  group.append(...labels(node, account, plan, x, y, half));
  // A finger needs more to hit than a small score shows.
  group.append(circle(Math.max(half + 4, 16), "area"));
  for (const event of ["focus", "click"]) group.addEventListener(event, () => choose(index, true));
  group.addEventListener("mousemove", (event) => {
    // A pointer that rests while the page scrolls below it has not been moved, and must not take over from the keyboard.
    if (event.clientX !== pointer.x || event.clientY !== pointer.y) choose(index, true);
  });
  for (const event of ["mouseleave", "blur"]) group.addEventListener(event, () => together());
  group.addEventListener("keydown", (event) => {
    if (event.key === "Escape") group.blur();
  });
  return group;
}

function labels(node, account, plan, x, y, half) {
  const strong = node.risen ? " strong" : "";
  const text = (content, left, top, anchor, name) =>
    shape("text", { x: left, y: top, "text-anchor": anchor, class: name }, content);
  const name = shorten(account.id, plan.narrow ? 8 : 14);
  const scores = account.score
    ? `${score(account.score.before, 2)} → ${after(account.score, 2)}`
    : bankName(account.bank).slice(0, 12);
  if (plan.narrow || (node.layer > 0 && node.layer + 1 < plan.layers)) {
    const below = [text(name, x, y + half + 14, "middle", "halo" + strong)];
    if (!plan.narrow) below.push(text(scores, x, y + half + 29, "middle", "faded halo"));
    return below;
  }
  const [aside, anchor] = node.layer === 0 ? [x - plan.radius - 8, "end"] : [x + plan.radius + 8, "start"];
  return [
    text(name, aside, y - 2, anchor, "halo" + strong),
    text(scores, aside, y + 14, anchor, "faded halo"),
  ];
}

/** A score after the run; a lower bound where it is withheld. */
const after = (scores, digits) => (scores.rank_after === undefined ? "≥ " : "") + score(scores.after, digits);

/** What a reader hears of an account. */
function inWords(account) {
  const name = `${account.id} of ${bankName(account.bank)}`;
  if (!account.score) return `${name}, score unknown to ${page.bank}`;
  const { before, rank_before, rank_after } = account.score;
  const start = `${name}, score ${score(before)} before and `;
  if (rank_after === undefined) return start + `at least ${score(account.score.after)} after: the score is withheld`;
  return (
    start + `${score(account.score.after)} after, rank ${whole(rank_before)} before and ${whole(rank_after)} after`
  );
}

/** Tells of one account; `apart` also fades what does not touch it. */
function choose(index, apart) {
  network.chosen = index;
  const near = new Set([index]);
  for (const part of network.svg.querySelectorAll(".edge, .head")) {
    const [from, to] = [Number(part.dataset.from), Number(part.dataset.to)];
    const touches = from === index || to === index;
    part.classList.toggle("near", touches);
    if (touches) near.add(from).add(to);
  }
  network.nodes.forEach((node, other) => {
    node.classList.toggle("near", near.has(other));
    node.classList.toggle("chosen", other === index);
  });
  network.svg.classList.toggle("apart", apart);
  drawDetail(accountOf(view.nodes[index]), index);
}

const together = () => network.svg.classList.remove("apart");

function drawDetail(account, index) {
  const heading = element("h3", {}, dot(account.bank), element("span", { id: "detail-name" }, fullName(account)));
  const arrow = (before, after) => element("span", {}, before, " → ", after);
  const facts = element("dl");
  const fact = (name, value) => facts.append(element("dt", {}, name), element("dd", {}, value));
  fact("Bank", bankName(account.bank));
  if (account.score) {
    const { before, rank_before, rank_after } = account.score;
    fact("Score", arrow(number(before, score(before)), number(account.score.after, after(account.score, 6))));
    const ranked = rank_after === undefined ? "withheld" : number(rank_after, whole(rank_after));
    fact("Rank", arrow(number(rank_before, whole(rank_before)), ranked));
  } else {
    fact("Score", `unknown to ${page.bank}`);
  }
  const parts = [heading, facts];
  if (account.senders.length > 0) {
    parts.push(element("h4", {}, "Money came from"), element("ul", {}, ...account.senders.map(senderRow)));
    const more = account.sender_count - account.senders.length;
    if (more > 0) parts.push(element("p", { class: "tag" }, `and ${whole(more)} more, each with less`));
  } else if (!account.score) {
    const to = view.edges.filter((edge) => edge.from === index);
    const names = to.map((edge) => fullName(accountOf(view.nodes[edge.to]))).join(", ");
    if (names) parts.push(element("h4", {}, "Paid"), element("p", {}, names));
  } else {
    parts.push(element("p", { class: "tag" }, "Nobody paid this account."));
  }
  byId("detail").replaceChildren(...parts);
}

function senderRow(sender) {
  const row = element(
    "li",
    {},
    element(
      "span",
      { class: "line" },
      who(sender.bank, bankName(sender.bank) + "/" + sender.id),
      number(sender.share, percent(sender.share)),
    ),
    bar(sender.bank, sender.share),
  );
  if (sender.foreign_from !== undefined) {
    row.append(element("span", { class: "tag" }, `another bank's risk, from iteration ${sender.foreign_from}`));
  }
  return row;
}
