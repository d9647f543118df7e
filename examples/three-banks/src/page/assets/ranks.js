// The riskiest accounts after the run, and those that climbed most.

function drawRanks() {
  const heads = [
    element("th", { class: "left" }, "rank"),
    element("th", { class: "left" }, "account"),
    element("th", { class: "wide" }, "rank before"),
    element("th", {}, "moved"),
    element("th", {}, "before"),
    element("th", { class: "left wide" }, "score: ring before, disc after"),
    element("th", {}, "after"),
  ];
  const body = element("tbody");
  view.ranks.forEach((index, place) => {
    const row = rankRow(view.accounts[index]);
    if (place + 1 === view.first && place + 1 < view.ranks.length) row.classList.add("gap");
    body.append(row);
  });
  byId("ranks").replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body));
}

function rankRow(account) {
  const { before, after, rank_before, rank_after } = account.score;
  const climbed = rank_before - rank_after;
  const moved =
    climbed > 0
      ? element("td", { class: "moved" }, `▲ ${whole(climbed)}`)
      : element("td", { class: "same" }, climbed < 0 ? `▼ ${whole(-climbed)}` : "–");
  return element(
    "tr",
    { "data-account": fullName(account) },
    element("td", { class: "left" }, number(rank_after, whole(rank_after))),
    element("td", { class: "left" }, who(account.bank, fullName(account))),
    element("td", { class: "wide" }, number(rank_before, whole(rank_before))),
    moved,
    element("td", {}, number(before, score(before))),
    element("td", { class: "left wide" }, dumbbell(account)),
    element("td", {}, number(after, score(after))),
  );
}

/** Both scores on a line from 0 to 1. */
function dumbbell(account) {
  const { before, after } = account.score;
  const at = (value) => 7 + 286 * Math.min(1, Math.max(0, value));
  const drawing = shape(
    "svg",
    { class: "dumbbell", viewBox: "0 0 300 18", role: "img", "aria-label": `from ${score(before)} to ${score(after)}` },
    shape("line", { class: "grid", x1: 7, x2: 293, y1: 9, y2: 9 }),
    shape("line", { class: "course", x1: at(before), x2: at(after), y1: 9, y2: 9 }),
    shape("circle", { class: "filled", cx: at(after), cy: 9, r: 6 }),
    shape("circle", { class: "ring", cx: at(before), cy: 9, r: 4.5 }),
  );
  return tint(drawing, account.bank);
}
