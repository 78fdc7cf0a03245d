/* Line plots as SVG, drawn anew whenever their numbers change.
 *
 * A page with many overlaps has hundreds of thousands of points: they are never the arguments of one call, as in
 * Math.min(...values), of which engines take about 100 000.
 */

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 52, right: 54, top: 10, bottom: 34 };
const LABEL_HEIGHT = 17;

/** Return an SVG element. */
function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** One plot in a figure element: its axes, and curves with labels at their ends. */
class Plot {
  /**
   * @param {HTMLElement} figure where the plot goes, a figure with a caption.
   * @param {{log?: boolean, across: string}} options log for a logarithmic axis upwards; what the axis across shows.
   */
  constructor(figure, { log = false, across }) {
    Object.assign(this, { log, across });
    this.title = figure.querySelector("figcaption span").textContent;
    this.canvas = svg("svg", { role: "img", "aria-label": this.title });
    figure.append(this.canvas);
    this.last = { curves: [], reach: 1 };
    new ResizeObserver(() => this.draw(this.last)).observe(figure);
  }

  /** Say in words, for those who do not see it, what the plot shows. */
  describe(words) {
    this.canvas.setAttribute("aria-label", `${this.title}. ${words}`);
  }

  /**
   * Draw curves over 0..reach.
   *
   * @param {{curves: {x: number[], y: number[], style: string, label?: object[]}[], reach: number}} content
   *     a label has runs of letters, {text, italic, scale, shift}: their size and how far below the line they stand,
   *     relative to the size of the label.
   */
  draw(content) {
    this.last = content;
    const { curves, reach } = content;
    const [width, height] = [this.canvas.clientWidth || 420, this.canvas.clientHeight || 240];
    const shown = (value) => Number.isFinite(value) && (!this.log || value > 0);
    const values = curves.flatMap((curve) => curve.y.filter(shown));
    const [low, high] = this.log ? logRange(values) : linearRange(values);
    const up = this.log ? Math.log10 : (value) => value;
    const right = width - (curves.some((curve) => curve.label) ? MARGIN.right : 14);
    const bottom = height - MARGIN.bottom;
    const px = (x) => MARGIN.left + (x / reach) * (right - MARGIN.left);
    const py = (y) => bottom - ((up(y) - up(low)) / (up(high) - up(low))) * (bottom - MARGIN.top);

    const parts = [];
    for (const y of this.log ? logTicks(low, high) : linearTicks(low, high, 5)) {
      parts.push(svg("line", { class: y === 0 ? "zero" : "grid", x1: MARGIN.left, x2: right, y1: py(y), y2: py(y) }));
      const text = this.log ? powerOfTen(y) : shortNumber(y);
      parts.push(svg("text", { class: "tick", x: MARGIN.left - 7, y: py(y) + 4, "text-anchor": "end" }, text));
    }
    for (const x of linearTicks(0, reach, width < 340 ? 3 : 5)) {
      parts.push(svg("line", { class: "axis", x1: px(x), x2: px(x), y1: bottom, y2: bottom + 4 }));
      parts.push(svg("text", { class: "tick", x: px(x), y: bottom + 17, "text-anchor": "middle" }, shortNumber(x)));
    }
    parts.push(svg("line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }));
    const middle = (MARGIN.left + right) / 2;
    parts.push(svg("text", { class: "across", x: middle, y: height - 3, "text-anchor": "middle" }, this.across));

    const labels = [];
    for (const { x, y, style, label } of curves) {
      const points = [];
      let path = "";
      let last = -1;
      y.forEach((value, k) => {
        if (!shown(value)) return;
        const goesOn = last === k - 1 && path;
        path += `${goesOn ? "L" : "M"}${px(x[k]).toFixed(1)},${py(value).toFixed(1)}`;
        if (!goesOn && !shown(y[k + 1])) {
          // A line of no length would not be seen.
          points.push(svg("circle", { class: `point ${style}`, cx: px(x[k]), cy: py(value), r: 2.5 }));
        }
        last = k;
      });
      if (last < 0) continue;
      parts.push(svg("path", { class: `curve ${style}`, d: path }), ...points);
      if (!label) continue;
      const [least, largest] = extent(y.filter(shown));
      const end = { x: px(x[last]), y: py(y[last]) };
      labels.push({ label, style, end, y: end.y, change: largest - least });
    }
    parts.push(...apart(labels, MARGIN.top + 4, bottom - LABEL_HEIGHT / 2).flatMap(labelNodes));
    this.canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.canvas.replaceChildren(...parts);
  }
}

/** Return labels moved up and down so that none hides another; where room is short, those of curves that change most. */
function apart(labels, top, bottom) {
  const room = Math.floor((bottom - top) / LABEL_HEIGHT) + 1;
  const most = labels.sort((a, b) => b.change - a.change).slice(0, room);
  const placed = most.sort((a, b) => a.y - b.y);
  placed.forEach((label, k) => {
    label.y = Math.max(label.y, k ? placed[k - 1].y + LABEL_HEIGHT : top);
  });
  for (let k = placed.length - 1, limit = bottom; k >= 0; k--, limit -= LABEL_HEIGHT) {
    placed[k].y = Math.min(placed[k].y, limit, k + 1 < placed.length ? placed[k + 1].y - LABEL_HEIGHT : limit);
  }
  return placed;
}

/** Return a label, and the line that leads to it from the end of its curve. */
function labelNodes({ label, style, end, y }) {
  const leader = `M${(end.x + 1).toFixed(1)},${end.y.toFixed(1)}L${(end.x + 10).toFixed(1)},${y.toFixed(1)}`;
  return [
    svg("path", { class: `leader ${style}`, d: leader }),
    svg("text", { class: "label", x: end.x + 12, y: y + 4 }, ...labelParts(label)),
  ];
}

/** Return a label, such as sigma with zu below, as parts of an SVG text. */
function labelParts(label) {
  let height = 0;
  return label.map(({ text, italic, scale, shift }) => {
    const moved = (shift - height) / scale; // in the size of these letters, as lengths in em are
    height = shift;
    const place = { "font-size": `${scale}em`, dy: `${moved.toFixed(3)}em` };
    return svg("tspan", { class: italic ? "letter" : "sign", ...place }, text);
  });
}

/** Return the least and the largest of some numbers. */
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Return a range of round numbers that holds all values, and zero if it is not far. */
function linearRange(values) {
  if (!values.length) return [0, 1];
  let [low, high] = extent(values);
  if (low > 0 && low < high / 2) low = 0;
  if (high < 0 && high > low / 2) high = 0;
  const room = (high - low || Math.abs(high) || 1) * 0.04;
  return [low === 0 ? 0 : low - room, high === 0 ? 0 : high + room];
}

/** Return a range that holds all values, of at least one power of ten. */
function logRange(values) {
  if (!values.length) return [0.1, 1];
  const [low, high] = extent(values);
  const missing = Math.max(0, 1 - Math.log10(high / low)) / 2;
  return [low * 10 ** (-missing - 0.05), high * 10 ** (missing + 0.05)];
}

function linearTicks(low, high, most) {
  const rough = (high - low) / most;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => (high - low) / size <= most);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12) + 1e-9 * step; k++) ticks.push(k * step);
  return ticks;
}

function logTicks(low, high) {
  const [first, last] = [Math.ceil(Math.log10(low)), Math.floor(Math.log10(high))];
  const every = Math.max(1, Math.ceil((last - first) / 5));
  const ticks = [];
  for (let power = first; power <= last; power += every) ticks.push(10 ** power);
  if (ticks.length > 1) return ticks;
  return [0.2, 0.5, 1, 2, 5, 10].map((part) => part * 10 ** first).filter((tick) => tick >= low && tick <= high);
}

/** Return a power of ten as 10 with an exponent, and other numbers as they are. */
function powerOfTen(value) {
  const power = Math.round(Math.log10(value));
  if (Math.abs(value / 10 ** power - 1) > 1e-9 || (power > -2 && power < 3)) return shortNumber(value);
  return `10${raised(power)}`;
}

/** Return a whole number as an exponent. */
function raised(power) {
  return [...String(power)].map((digit) => (digit === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit])).join("");
}

/** Return a number in few digits, with a true minus sign. */
function shortNumber(value, digits = 3) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const plain = size === 0 || (size >= 1e-4 && size < 1e6);
  const [front, power] = plain ? [value] : value.toExponential(digits - 2).split("e").map(Number);
  const text = String(Number(front.toPrecision(digits + (size >= 1000 && plain ? 3 : 0)))).replace("-", "−");
  return plain ? text : `${text}·10${raised(power)}`;
}
