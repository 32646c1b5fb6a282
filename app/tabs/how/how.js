// The animation of "How it works", for gr.HTML: shuffles the drawn hidden neurons and sends their order.
// An order lists the neuron at each place. Gradio runs this once, with `element`, `trigger` and `watch`.
const MILLISECONDS = 900;
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const all = (selector) => [...element.querySelectorAll(selector)];
const straight = () => Array.from({ length: all('.neuron[data-layer="1"]').length }, (_, i) => i);
let orders, from, frame;

const shuffled = (order) => {
  const next = [...order];
  for (let i = next.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [next[i], next[j]] = [next[j], next[i]];
  }
  return next;
};

// The place of each neuron: `places[layer][neuron]`, fractional during the animation.
const placesOf = (orders) => orders.map((order) => order.map((_, neuron) => order.indexOf(neuron)));
const between = (a, b, t) => a.map((layer, i) => layer.map((place, neuron) => place + (b[i][neuron] - place) * t));

const draw = (places) => {
  const [one, two] = places, { top, step, cell } = measures;
  const down = (layer, neuron) => top + step * places[layer - 1][neuron];
  const move = (item, x, y) => item.setAttribute("transform", `translate(${x} ${y})`);
  for (const item of all(".neuron")) move(item, item.dataset.x, down(+item.dataset.layer, +item.dataset.neuron));
  for (const line of all("line[data-layer]")) {
    const layer = +line.dataset.layer;
    if (layer > 0) line.setAttribute("y1", down(layer, +line.dataset.from));
    if (layer < 2) line.setAttribute("y2", down(layer + 1, +line.dataset.to));
  }
  for (const item of all(".cell")) move(item, cell * one[+item.dataset.column], cell * two[+item.dataset.row]);
  for (const item of all(".head"))
    item.dataset.row ? move(item, 0, cell * two[+item.dataset.row]) : move(item, cell * one[+item.dataset.column], 0);
};

const picked = { index: 0 }; // shared by all clicks: for quick clicks Gradio repeats the first, which must have the last value
const go = (next) => {
  cancelAnimationFrame(frame);
  const start = performance.now(), [a, b] = [from, placesOf(next)];
  orders = next;
  const tick = (now) => {
    const share = calm() ? 1 : Math.min(1, Math.max(0, (now - start) / MILLISECONDS));
    from = between(a, b, share * share * (3 - 2 * share));
    draw(from);
    if (share < 1) frame = requestAnimationFrame(tick);
  };
  tick(start);
  trigger("select", Object.assign(picked, { value: JSON.stringify(next) }));
};

let measures;
const begin = () => {
  const picture = element.querySelector(".how-live");
  if (!picture) return;
  measures = { top: +picture.dataset.top, step: +picture.dataset.step, cell: +picture.dataset.cell };
  for (const item of all(".neuron")) item.dataset.x = item.transform.baseVal[0].matrix.e;
  orders = [straight(), straight()];
  from = placesOf(orders);
};

element.addEventListener("click", (event) => {
  if (event.target.closest("[data-shuffle]")) go(orders.map(shuffled));
  if (event.target.closest("[data-restore]")) go([straight(), straight()]);
});
watch(["value"], begin);
begin();
