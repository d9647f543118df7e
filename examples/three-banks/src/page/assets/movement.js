// How risk moved by iteration. Only the joint page has it: it comes from a computation that sees all banks' data.

const SERIES = 8;

function drawMovement() {
  const place = byId("movement");
  byId("movement-card").hidden = !view.movement;
  if (!view.movement) return;
  const steps = view.movement.totals[0].length;
  const ofBanks = (rows) => rows.map((values, bank) => ({ bank, name: bankName(bank), values }));
  const courses = view.movement.scores.slice(0, SERIES).map((course) => {
    const account = view.accounts[course.account];
    return { bank: account.bank, name: account.id, values: course.scores };
  });
  const numbers = movementTable(courses, steps);
  // Drawn anew, it stays as the reader left it.
  numbers.open = place.querySelector("details")?.open ?? false;
  const charts = [
    ["Scores of the accounts that rose most", courses, (value) => value.toFixed(2)],
    ["Risk at each bank: sum of its scores", ofBanks(view.movement.totals), (value) => value.toFixed(1)],
    ["Accounts with a score above 0", ofBanks(view.movement.reached), whole],
  ];
  const frames = charts.map(([title]) => element("div", { class: "chart" }, element("h3", {}, title)));
  place.replaceChildren(...frames, numbers);
  // The frames must stand on the page before their widths are known.
  charts.forEach((chart, index) => frames[index].append(lineChart(frames[index].clientWidth, ...chart)));
}

function lineChart(width, title, series, format) {
  const box = { left: 40, right: Math.min(112, width * 0.45), top: 10, bottom: 30, height: 250 };
  const top = niceTop(Math.max(0, ...series.flatMap((line) => line.values)));
  const count = series[0]?.values.length ?? 1;
  const x = (step) => box.left + ((width - box.left - box.right) * step) / Math.max(1, count - 1);
  const y = (value) => box.height - box.bottom - (box.height - box.bottom - box.top) * (value / top);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${box.height}`, role: "img", "aria-label": title });
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const level = y(top * part);
    svg.append(shape("line", { class: "grid", x1: box.left, x2: width - box.right, y1: level, y2: level }));
    const label = { class: "faded", x: box.left - 7, y: level + 4, "text-anchor": "end" };
    svg.append(shape("text", label, format(top * part)));
  }
  const every = Math.ceil(count / 8);
  for (let step = 0; step < count; step += every) {
    const label = { class: "faded", x: x(step), y: box.height - 9, "text-anchor": "middle" };
    svg.append(shape("text", label, step === 0 ? "before" : String(step)));
  }
  const ends = spread(series.map((line) => y(line.values[count - 1])), 15, box.top + 4, box.height - box.bottom);
  series.forEach((line, index) => {
    const points = line.values.map((value, step) => `${x(step)},${y(value)}`).join(" ");
    svg.append(tint(shape("polyline", { class: "course", points }), line.bank));
    line.values.forEach((value, step) => {
      const name = `${line.name}: ${format(value)}`;
      const point = shape("circle", { class: "filled", cx: x(step), cy: y(value), r: 3.2 }, shape("title", {}, name));
      svg.append(tint(point, line.bank));
    });
    const [end, label] = [width - box.right, ends[index]];
    const last = y(line.values[count - 1]);
    svg.append(shape("line", { class: "leader", x1: end + 5, y1: last, x2: end + 13, y2: label }));
    const text = `${shorten(line.name, 8)} ${format(line.values[count - 1])}`;
    svg.append(shape("text", { x: end + 16, y: label + 4 }, text));
  });
  return svg;
}

/** The next of 1, 2, 4, 6, 8 or 10 times a power of ten: a quarter of it is a short number, too. */
function niceTop(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 2, 4, 6, 8, 10].find((factor) => factor * unit >= value * (1 - 1e-12));
}

/** Heights near those wanted, at least `gap` apart and within two bounds where there is room. */
function spread(wanted, gap, low, high) {
  const order = wanted.map((_, index) => index).sort((a, b) => wanted[a] - wanted[b]);
  const heights = wanted.slice();
  let next = low;
  for (const index of order) {
    heights[index] = Math.max(wanted[index], next);
    next = heights[index] + gap;
  }
  let limit = high;
  for (const index of order.slice().reverse()) {
    heights[index] = Math.min(heights[index], limit);
    limit = heights[index] - gap;
  }
  return heights;
}

function movementTable(courses, steps) {
  const head = element("tr", {}, element("th", { class: "left" }, "score of"));
  for (let step = 0; step < steps; step += 1) {
    head.append(element("th", {}, step === 0 ? "before" : `iteration ${step}`));
  }
  const row = (name, bank, values, format) =>
    element(
      "tr",
      {},
      element("td", { class: "left" }, who(bank, name)),
      ...values.map((value) => element("td", {}, number(value, format(value)))),
    );
  const { totals, reached } = view.movement;
  const body = element("tbody", {});
  for (const line of courses) body.append(row(`${bankName(line.bank)}/${line.name}`, line.bank, line.values, score));
  totals.forEach((values, bank) => body.append(row(`${bankName(bank)}, sum`, bank, values, score)));
  reached.forEach((values, bank) => body.append(row(`${bankName(bank)}, accounts above 0`, bank, values, whole)));
  const table = element("table", {}, element("thead", {}, head), body);
  return element("details", {}, element("summary", {}, "The numbers"), element("div", { class: "scroll" }, table));
}
