// Times and bytes by phase and bank, and the parameters.

const phaseNames = [...new Set(page.measured.phases.map((phase) => phase.name))];
const parties = [...new Set(page.measured.phases.map((phase) => phase.party))];
const phasesOf = (name) => page.measured.phases.filter((phase) => phase.name === name);
const sum = (phases, field) => phases.reduce((total, phase) => total + phase[field], 0);
/** Wall time of a phase: that of the slowest bank. */
const slowest = (name) => Math.max(...phasesOf(name).map((phase) => phase.wall_s));
const isKey = (name) => name === "keygen";
const wallOf = (wanted) => phaseNames.filter(wanted).reduce((total, name) => total + slowest(name), 0);

function drawCosts() {
  const bank = (party) => page.banks.findIndex((bank) => bank.name === party);
  const heads = parties.map((party) =>
    element("th", {}, who(bank(party), party)),
  );
  const head = element("tr", {}, element("th", { class: "left" }, "phase"), ...heads);
  const longest = Math.max(...page.measured.phases.map((phase) => phase.wall_s), 1e-9);
  const rows = phaseNames.map((name) => {
    const cells = parties.map((party) => {
      const phase = page.measured.phases.find((other) => other.name === name && other.party === party);
      return phase ? costCell(phase, bank(party), longest) : element("td");
    });
    return element("tr", {}, element("th", { class: "left", scope: "row" }, phaseTitle(name)), ...cells);
  });
  const totals = parties.map((party) => {
    const own = page.measured.phases.filter((phase) => phase.party === party);
    const all = { wall_s: sum(own, "wall_s"), cpu_s: sum(own, "cpu_s") };
    return costCell({ ...all, bytes_sent: sum(own, "bytes_sent"), messages: sum(own, "messages") });
  });
  const foot = element("tr", {}, element("th", { class: "left", scope: "row" }, "in all"), ...totals);
  byId("costs").replaceChildren(
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows), element("tfoot", {}, foot)),
  );
}

function phaseTitle(name) {
  const titles = { keygen: "key generation", agree: "agreement on transfers", encrypt: "encryption", decrypt: "decryption" };
  return titles[name] ?? name;
}

function costCell(phase, bank, longest) {
  const cell = element(
    "td",
    bank === undefined ? {} : { "data-phase": phase.name, "data-party": phase.party },
    number(phase.wall_s, seconds(phase.wall_s)),
    element("span", { class: "small" }, "cpu ", number(phase.cpu_s, seconds(phase.cpu_s))),
    element(
      "span",
      { class: "small" },
      number(phase.bytes_sent, bytes(phase.bytes_sent)),
      // Many banks leave no room for both in one line.
      element("span", { class: parties.length > 4 ? "small wide" : "wide" }, " in ", number(phase.messages, whole(phase.messages)), " messages"),
    ),
  );
  if (bank !== undefined) cell.append(bar(bank, phase.wall_s / longest));
  return cell;
}

function drawParameters() {
  const { plan, ...given } = page.parameters;
  const rows = [
    ["key", number(given.key_bits, `${whole(given.key_bits)} bits`)],
    ["banks", number(given.banks, whole(given.banks))],
    ["threshold t", number(given.threshold, `${given.threshold}: ${given.threshold + 1} banks decrypt`)],
    ["iterations in each period", number(given.iterations, whole(given.iterations))],
    ["periods", number(given.periods, whole(given.periods))],
    ["δ, share from senders", given.delta],
    ["accuracy asked for", number(given.accuracy, bound(given.accuracy))],
    ["greatest error planned", number(given.error_bound, bound(given.error_bound))],
    ["– of fixed point", number(given.fixed_point_error, bound(given.fixed_point_error))],
    ["– of disclosure noise", number(given.noise_error, bound(given.noise_error))],
    ["– of rounding for display", number(given.grid_error, bound(given.grid_error))],
    ["differing transfers", given.mismatch === "refuse" ? "end the run" : "are left out"],
    ["least foreign senders of a score", number(given.min_foreign_senders, whole(given.min_foreign_senders))],
    [page.views.length > 1 ? "risk types" : "risk type", page.views.map((each) => each.risk_type).join(", ")],
    ...Object.entries(plan).map(([name, value]) => [name, number(value, whole(value))]),
  ];
  byId("parameters").replaceChildren(...rows.map(([name, value]) => pair(name, value)));
}
