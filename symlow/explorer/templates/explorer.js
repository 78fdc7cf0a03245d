/* The live explorer: two networks that learn in the page, from overlaps that sliders set.
 *
 * They share their loss-visible overlaps, hence their function; the second, the twin, has loss-invisible overlaps of its
 * own, hence may learn otherwise. All numbers come from the generated module, `system`.
 */

const MOST_RECORDED = 300; // points of a curve
const WORK = 12; // milliseconds of learning between two pictures
const UNHURRIED = 3000; // milliseconds, at least, of a run that a click starts
const DIVERGED = 1e9; // overlaps beyond it are taken for infinite
const MOST_NAMED = 12; // overlaps whose course is told in words
const SHADES = 6; // colours of overlaps of a kind

/** Set up the explorer in its section of the page; section.explorer.snapshot() then returns its state and numbers. */
function explore(section, system, content) {
  const { OVERLAPS, ROWS, COLUMNS, N_COLUMNS, VISIBLE } = system;
  const find = (part) => section.querySelector(`[data-part="${part}"]`);
  const buttons = Object.fromEntries(["run", "pause", "reset", "defaults"].map((name) => [name, find(name)]));
  const networks = [
    { name: "network", style: "solid" },
    { name: "twin", style: "dashed" },
  ];
  const settings = { lr: content.lr, steps: content.steps, parameters: { ...content.parameters } };
  const given = content.trials && decodedTrials(content.trials);
  let state = "ready";
  let goal = null; // what networks learn from: trials, or the target of a filter task
  let taken = 0; // steps
  let pending = 0; // the number of the picture that is due
  let calm = null; // when a run that is to be watched started, and at which step
  let recorded = [];

  // Initial overlaps, inside the cone of feasible ones ---------------------------------------------------------------

  const moving = OVERLAPS.map((name, k) => k).filter((k) => !content.overlaps[k].constant);
  const movable = OVERLAPS.map((name, k) => k).filter((k) => content.overlaps[k].movable);
  const isVisible = (k) => k < VISIBLE.length;
  const isNorm = (k) => ROWS[k] === COLUMNS[k];
  const largest = Math.max(1, ...movable.filter(isNorm).map((k) => content.initial[k]));
  const scale = (k) => (isNorm(k) ? [0, 4 * largest] : [-2 * largest, 2 * largest]);

  /** Return which values of an overlap all of some networks can have with their others as they are. */
  function range(k, owners) {
    let [low, high] = scale(k);
    for (const { initial } of owners) {
      const [least, most] = feasibleRange(system.gram(initial), N_COLUMNS, ROWS[k], COLUMNS[k]);
      // Just inside the cone, for on its surface no other overlap could move.
      const inset = isNorm(k) ? 0.001 * (least + 0.01) : 0.001 * (most - least);
      [low, high] = [Math.max(low, least + inset), Math.min(high, most - (isNorm(k) ? 0 : inset))];
    }
    const now = owners[0].initial[k];
    return [Math.min(low, now), Math.max(high, now)];
  }

  /** Give both networks the overlaps that the page came with, and the twin invisible ones that differ. */
  function setDefaults() {
    for (const network of networks) network.initial = Float64Array.from(content.initial);
    const [, twin] = networks;
    const invisible = movable.filter((k) => !isVisible(k));
    for (const k of invisible.filter(isNorm)) twin.initial[k] = Math.min(2 * twin.initial[k], scale(k)[1]);
    for (const k of invisible.filter((k) => !isNorm(k))) {
      twin.initial[k] += 0.4 * (range(k, [twin])[1] - twin.initial[k]);
    }
    settings.lr = content.lr;
    settings.steps = content.steps;
    settings.parameters = { ...content.parameters };
  }

  // Learning ---------------------------------------------------------------------------------------------------------

  function reset() {
    cancelAnimationFrame(pending);
    taken = 0;
    goal = given ?? system.task(settings.parameters);
    for (const network of networks) {
      network.sigma = Float64Array.from(network.initial);
      network.diverged = null;
    }
    recorded = [];
    record();
    state = "ready";
  }

  function record() {
    recorded.push({
      step: taken,
      losses: networks.map(({ sigma, diverged }) => (diverged === null ? system.loss(sigma, goal) : NaN)),
      sigmas: networks.map(({ sigma, diverged }) => (diverged === null ? sigma : sigma.map(() => NaN))),
    });
  }

  /** Take one step of learning in each network that has not diverged. */
  function advance() {
    taken += 1;
    for (const network of networks.filter(({ diverged }) => diverged === null)) {
      const next = system.step(network.sigma, settings.lr, goal);
      if (next.every((value) => Math.abs(value) < DIVERGED)) network.sigma = next;
      else network.diverged = taken;
    }
    const stride = Math.ceil(settings.steps / MOST_RECORDED);
    const ended = taken >= settings.steps || networks.every(({ diverged }) => diverged !== null);
    if (taken % stride === 0 || ended) record();
    if (ended) state = "finished";
  }

  function picture() {
    const now = performance.now();
    const due = calm ? calm.step + (settings.steps * (now - calm.time)) / UNHURRIED : Infinity;
    while (state === "running" && taken < due && performance.now() < now + WORK) advance();
    draw();
    if (state === "running") pending = requestAnimationFrame(picture);
    else if (state === "finished") announce();
  }

  /** Whether there is nothing to learn from: the loss, that of both networks, is not finite where learning starts. */
  function isLost() {
    return !Number.isFinite(recorded[0].losses[0]);
  }

  function run(unhurried) {
    if (state === "running" || isLost()) return;
    if (state === "finished") reset();
    state = "running";
    const watched = unhurried && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    calm = watched ? { time: performance.now(), step: taken } : null;
    announce();
    pending = requestAnimationFrame(picture);
  }

  /** Begin anew after a change of what learning starts from, and learn at once if networks learn or have learned. */
  function changed() {
    const again = state === "running" || state === "finished";
    reset();
    draw();
    if (again && !isLost()) run(false);
    else announce();
  }

  // Words ------------------------------------------------------------------------------------------------------------

  function announce() {
    const { losses } = recorded[recorded.length - 1];
    const sound = networks.map(({ name, diverged }, k) => (diverged === null ? `${name} ${shortNumber(losses[k])}` : ""));
    const loss = sound.some(Boolean) ? ` Loss: ${sound.filter(Boolean).join(", ")}.` : "";
    const words = {
      ready: `Ready.${loss}`,
      running: "Learning.",
      paused: `Paused at step ${taken}.${loss}`,
      finished: `${taken} steps done.${loss}`,
    };
    const troubles = networks
      .filter(({ diverged }) => diverged !== null)
      .map(({ name, diverged }) => `The ${name} diverged at step ${diverged}: its overlaps grew beyond all bounds.`);
    if (troubles.length) troubles.push("Lower the learning rate or the norms.");
    if (isLost()) troubles.push("The loss is infinite at these overlaps: change the loss-visible ones.");
    find("status").textContent = [words[state], ...troubles].join(" ");
    find("status").classList.toggle("trouble", troubles.length > 0);
    if (state !== "running") describe();
    buttons.run.disabled = state === "running" || isLost();
    buttons.run.textContent = state === "paused" ? "Resume" : state === "finished" ? "Run again" : "Run";
    buttons.pause.disabled = state !== "running";
  }

  // Pictures ---------------------------------------------------------------------------------------------------------

  const plots = {
    loss: new Plot(find("loss"), { log: true, across: "step" }),
    output: new Plot(find("output"), { across: "time" }),
    visible: new Plot(find("visible"), { across: "step" }),
    invisible: find("invisible") && new Plot(find("invisible"), { across: "step" }),
  };

  /** Say in words what the plots show: values at the start and now. */
  function describe() {
    const [begin, end] = [recorded[0], recorded[recorded.length - 1]];
    const course = (pick) => {
      const parts = networks.map(({ name }, n) => {
        const [from, to] = [begin, end].map((point) => pick(point, n));
        return `${name} from ${shortNumber(from)} to ${Number.isNaN(to) ? "infinity" : shortNumber(to)}`;
      });
      return `${parts.join(", ")}.`;
    };
    const change = (k) => Math.max(...networks.map((_, n) => Math.abs(end.sigmas[n][k] - begin.sigmas[n][k]) || 0));
    const overlaps = (wanted) => {
      const numbers = moving.filter(wanted);
      // Hundreds of overlaps would be minutes of speech.
      const told = [...numbers].sort((a, b) => change(b) - change(a)).slice(0, MOST_NAMED).sort((a, b) => a - b);
      const words = told.map((k) => `${OVERLAPS[k]}: ${course(({ sigmas }, n) => sigmas[n][k])}`);
      const others = numbers.length - told.length;
      return [...words, ...(others ? [`${others} others change less.`] : [])].join(" ");
    };
    plots.loss.describe(`In ${taken} steps: ${course(({ losses }, n) => losses[n])}`);
    plots.output.describe(`Both networks and the target after ${taken} steps.`);
    plots.visible.describe(overlaps(isVisible));
    plots.invisible?.describe(overlaps((k) => !isVisible(k)));
  }

  function overlapCurves(numbers, kind) {
    const x = recorded.map(({ step }) => step);
    return numbers.flatMap((k, place) =>
      networks.map(({ style }, n) => ({
        x,
        y: recorded.map(({ sigmas }) => sigmas[n][k]),
        style: `${kind} shade-${place % SHADES} ${style}`,
        label: n === 0 ? content.overlaps[k].label : undefined,
      })),
    );
  }

  function draw() {
    const reach = settings.steps;
    const x = recorded.map(({ step }) => step);
    // On the way to infinity a loss would leave no room for what came before.
    const most = 1e6 * Math.max(...recorded[0].losses);
    const lossCurves = networks.map(({ style }, n) => {
      return { x, y: recorded.map(({ losses }) => (losses[n] < most ? losses[n] : NaN)), style: `ink ${style}` };
    });
    plots.loss.draw({ curves: lossCurves, reach });
    plots.visible.draw({ curves: overlapCurves(moving.filter(isVisible), "visible"), reach });
    plots.invisible?.draw({ curves: overlapCurves(moving.filter((k) => !isVisible(k)), "invisible"), reach });
    plots.output.draw(outputCurves());
    find("progress").value = Math.min(taken / settings.steps, 1);
    find("count").textContent = `step ${taken} of ${settings.steps}`;
  }

  /** Return the output of both networks in the first trial, or to an impulse at each input, with the target. */
  function outputCurves() {
    const trials = given ? firstTrial(given, system) : impulses(system, content.response);
    const { batch, time } = trials;
    const target = given ? trials.y : targetResponse(goal, system, content.response);
    const found = networks.map(({ sigma, diverged }) => (diverged === null ? system.outputs(sigma, trials) : []));
    const x = Array.from({ length: time }, (_, t) => t * system.DT);
    const curves = [];
    for (const [values, style] of [[target, "target"], [found[0], "ink solid"], [found[1], "ink dashed"]]) {
      for (let trial = 0; trial < batch; trial++) {
        for (let output = 0; output < system.N_OUTPUTS; output++) {
          const at = (t) => (trial * time + t) * system.N_OUTPUTS + output;
          const asked = (t) => style !== "target" || !trials.mask || trials.mask[at(t)] > 0;
          curves.push({ x, y: x.map((_, t) => (asked(t) && at(t) in values ? values[at(t)] : NaN)), style });
        }
      }
    }
    return { curves, reach: time * system.DT };
  }

  // Sliders ----------------------------------------------------------------------------------------------------------

  const sliders = [];

  /** Add a slider of an initial overlap of some networks. */
  function addOverlap(parent, k, owners, who) {
    sliders.push(
      slider(find(parent), {
        id: `${section.id}-${who}-${OVERLAPS[k]}`,
        label: content.overlaps[k].label,
        meaning: content.overlaps[k].meaning,
        scale: scale(k),
        range: () => range(k, owners),
        get: () => owners[0].initial[k],
        set: (value) => owners.forEach(({ initial }) => (initial[k] = value)),
      }),
    );
  }

  /** Add a slider of a number that has no feasible range but its own. */
  function addSetting(parent, name, setting, { log = false, whole = false, target }) {
    const [low, high] = setting.range;
    const value = (position) => (whole ? Math.round(10 ** position) : log ? 10 ** position : position);
    sliders.push(
      slider(find(parent), {
        id: `${section.id}-${name}`,
        label: setting.label,
        meaning: setting.meaning,
        scale: log ? [Math.log10(low), Math.log10(high)] : [low, high],
        range: () => (log ? [Math.log10(low), Math.log10(high)] : [low, high]),
        get: () => (log ? Math.log10(target()[name]) : target()[name]),
        set: (position) => (target()[name] = value(position)),
        value,
      }),
    );
  }

  /** Add a slider; `value` is the number that a position on it stands for. */
  function slider(parent, { id, label, meaning, scale, range, get, set, value = (position) => position }) {
    const input = document.createElement("input");
    Object.assign(input, { type: "range", id, min: scale[0], max: scale[1], step: "any" });
    const name = document.createElement("label");
    name.htmlFor = id;
    name.title = meaning;
    name.append(...label.map(letters));
    // Not an output element, which tells every change of itself: the slider says its value when it is asked.
    const number = document.createElement("span");
    number.className = "value";
    number.setAttribute("aria-hidden", "true");
    const box = document.createElement("div");
    box.className = "slider";
    box.append(name, number, input);
    parent.append(box);
    const place = (position) => `${(100 * (position - scale[0])) / (scale[1] - scale[0])}%`;

    /** Show the value and what it can be. */
    function show() {
      const [low, high] = range();
      input.value = String(get());
      const [now, least, most] = [get(), low, high].map((position) => shortNumber(value(position)));
      number.textContent = now;
      input.style.setProperty("--low", place(low));
      input.style.setProperty("--high", place(high));
      input.setAttribute("aria-valuetext", `${now}, of ${least} to ${most}`);
    }

    input.addEventListener("input", () => {
      const [low, high] = range();
      set(Math.min(Math.max(Number(input.value), low), high));
      sliders.forEach((each) => each.show());
      changed();
    });
    // Arrow keys would move by the browser's own step, which for step="any" is a whole unit.
    input.addEventListener("keydown", (event) => {
      const sign = { ArrowUp: 1, ArrowRight: 1, PageUp: 10, ArrowDown: -1, ArrowLeft: -1, PageDown: -10 }[event.key];
      if (!sign) return;
      event.preventDefault();
      input.value = String(get() + (sign * (scale[1] - scale[0])) / 200);
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
    return { show };
  }

  setDefaults();
  const [first, twin] = networks;
  addSetting("settings", "lr", content.settings.lr, { log: true, target: () => settings });
  addSetting("settings", "steps", content.settings.steps, { log: true, whole: true, target: () => settings });
  for (const [name, setting] of Object.entries(content.settings.parameters)) {
    addSetting("settings", name, setting, { target: () => settings.parameters });
  }
  for (const k of movable.filter(isVisible)) addOverlap("visible-sliders", k, networks, "both");
  for (const k of movable.filter((k) => !isVisible(k))) {
    addOverlap("network-sliders", k, [first], "network");
    addOverlap("twin-sliders", k, [twin], "twin");
  }

  buttons.run.addEventListener("click", () => run(true));
  buttons.pause.addEventListener("click", () => {
    if (state === "running") state = "paused";
    announce();
  });
  buttons.reset.addEventListener("click", () => {
    reset();
    announce();
    draw();
  });
  buttons.defaults.addEventListener("click", () => {
    setDefaults();
    reset();
    sliders.forEach((each) => each.show());
    announce();
    draw();
  });

  section.explorer = {
    /** Return the state of learning with all its numbers. */
    snapshot: () => ({
      state,
      step: taken,
      ...structuredClone(settings),
      networks: networks.map(({ name, initial, sigma, diverged }) => {
        const loss = diverged === null ? system.loss(sigma, goal) : null;
        return { name, initial: [...initial], sigma: [...sigma], loss, diverged };
      }),
    }),
    /** Return [lowest, highest] of an initial overlap, of "network" or "twin", or of both where it is visible. */
    range: (overlap, who) => {
      const k = OVERLAPS.indexOf(overlap);
      return range(k, isVisible(k) ? networks : networks.filter(({ name }) => name === who));
    },
  };
  reset();
  sliders.forEach((each) => each.show());
  announce();
  draw();
}

/** Return letters of a label, at their size and height. */
function letters({ text, italic, scale, shift }) {
  const node = document.createElement("span");
  node.textContent = text;
  node.className = italic ? "letter" : "sign";
  // Moved and not aligned, so that no line is higher than others.
  Object.assign(node.style, { position: "relative", fontSize: `${scale}em`, top: `${(shift / scale).toFixed(3)}em` });
  return node;
}

/** Return trials with their arrays decoded: 64-bit numbers, least significant byte first, in base 64. */
function decodedTrials({ x, y, mask, batch, time }) {
  const decoded = (text) => text && new Float64Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  return { x: decoded(x), y: decoded(y), mask: decoded(mask), batch, time };
}

/** Return the first of some trials. */
function firstTrial({ x, y, mask, time }, { N_INPUTS, N_OUTPUTS }) {
  const part = (array, width) => array && array.subarray(0, time * width);
  return { x: part(x, N_INPUTS), y: part(y, N_OUTPUTS), mask: part(mask, N_OUTPUTS), batch: 1, time };
}

/** Return one trial for each input, with a unit impulse at time 0. */
function impulses({ N_INPUTS, DT }, { time }) {
  const x = new Float64Array(N_INPUTS * time * N_INPUTS);
  for (let input = 0; input < N_INPUTS; input++) x[input * time * N_INPUTS + input] = 1 / DT;
  return { x, batch: N_INPUTS, time };
}

/** Return the target filters f*[k] = C (A^k) B as outputs to these impulses, which appear after some steps of latency. */
function targetResponse({ A, B, C }, { N_INPUTS, N_OUTPUTS }, { time, latency }) {
  const states = Math.sqrt(A.length);
  const values = new Float64Array(N_INPUTS * time * N_OUTPUTS);
  for (let input = 0; input < N_INPUTS; input++) {
    let z = Array.from({ length: states }, (_, i) => B[i * N_INPUTS + input]);
    for (let t = latency; t < time; t++) {
      for (let output = 0; output < N_OUTPUTS; output++) {
        values[(input * time + t) * N_OUTPUTS + output] = z.reduce((sum, value, i) => sum + C[output * states + i] * value, 0);
      }
      z = z.map((_, i) => z.reduce((sum, value, j) => sum + A[i * states + j] * value, 0));
    }
  }
  return values;
}
